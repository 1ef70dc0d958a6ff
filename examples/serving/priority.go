package main

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// The batcher's levels.
const (
	interactive = iota // somebody waits for the answer
	background         // nobody does: what is interactive goes first
	levels
)

// What RFC 9218 §4.1 says of urgency, and from where on a request is
// background here. The RFC gives 7 to tasks such as software updates; what is
// merely a little less urgent than the rest, at 4, still has somebody waiting.
const (
	defaultUrgency    = 3
	leastUrgency      = 7
	backgroundUrgency = 5
)

// maxPriority is how many bytes a client may need to say how urgent it is.
const maxPriority = 1 << 10

// levelOf is what a request's Priority field asks for: a client may step back,
// and cannot get ahead of one that says nothing.
func levelOf(h http.Header) int {
	if urgency(h.Values("Priority")) >= backgroundUrgency {
		return background
	}
	return interactive
}

// urgency reads all Priority fields of a request (RFC 9218 §5), which are one
// dictionary. Whatever is wrong makes it the default: a mistake in the syntax
// spoils the dictionary (RFC 9651 §4.2), another type or range only u (RFC 9218
// §4).
func urgency(fields []string) int {
	rest := strings.Trim(strings.Join(fields, ","), " \t")
	if len(rest) > maxPriority {
		return defaultUrgency
	}
	u := defaultUrgency
	for more := rest != ""; more; {
		m := sfMember.FindStringSubmatch(rest)
		if m == nil {
			return defaultUrgency
		}
		all, key, value, comma := m[0], m[1], m[2], m[3]
		if key == "u" { // the last one counts
			u = defaultUrgency
			if n, err := strconv.Atoi(value); err == nil && n >= 0 && n <= leastUrgency {
				u = n
			}
		}
		rest, more = rest[len(all):], comma != ""
	}
	return u
}

// sfMember matches a member of a dictionary (RFC 9651 §3.2) and the comma
// before the next. The grammar is regular, because inner lists do not nest.
// What byte sequences and display strings encode is not looked at.
var sfMember = regexp.MustCompile(`^(` + sfKey + `)(?:=(` + sfBare + `|` + sfInner + `))?` + sfParams + `[ \t]*(?:(,)[ \t]*|$)`)

const (
	sfKey    = `[a-z*][a-z0-9_\-.*]*`
	sfBare   = `(?:@?-?[0-9]{1,15}|-?[0-9]{1,12}\.[0-9]{1,3}|\?[01]|:[A-Za-z0-9+/=]*:|` + sfString + `|` + sfToken + `)`
	sfString = `"(?:[ !#-\[\]-~]|\\["\\])*"|%"(?:[ !#$&-~]|%[0-9a-f]{2})*"`
	sfToken  = "[A-Za-z*][A-Za-z0-9!#$%&'*+\\-.^_`|~:/]*"
	sfParams = `(?:; *` + sfKey + `(?:=` + sfBare + `)?)*`
	sfInner  = `\( *(?:` + sfBare + sfParams + `(?: +` + sfBare + sfParams + `)* *)?\)`
)
