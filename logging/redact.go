package logging

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// redacted is printed instead of a secret.
const redacted = "[redacted]"

// secretNames are redacted wherever they name an attribute, a member of a value
// or a URL's parameter, whatever the case and the punctuation: X-API-Key is
// apikey. Names are whole, lest token counts and time_to_first_token vanish.
var secretNames = [...]string{
	"authorization", "proxyauthorization", "cookie", "setcookie", "xcsrftoken", "csrftoken",
	"token", "accesstoken", "refreshtoken", "idtoken", "authtoken", "xauthtoken", "bearertoken", "sessiontoken",
	"apitoken", "xvaulttoken", "hftoken", "privatetoken", "bearer", "jwt", "assertion", "clientassertion", "pwd", "passphrase", "dsn", "connectionstring", "xamzsecuritytoken", "xamzsignature", "xgoogsignature",
}

// secretParameters are redacted in URLs only: signed links, OAuth's codes, keys of
// Google's APIs. Elsewhere these are words like any.
var secretParameters = [...]string{"sig", "signature", "code", "key"}

// secretEnds are redacted as the end of a name too: db_password, awsSecretKey.
var secretEnds = [...]string{
	"password", "passwords", "passwd", "secret", "secrets", "secretkey", "privatekey", "apikey", "apikeys", "accesskey", "credential", "credentials",
}

// A redactor knows the names of secrets. It never changes.
type redactor struct {
	names map[string]struct{}
	// ends has a bit for the last two letters of every name, so that most names
	// are passed after one look.
	ends [32]uint32
	// shortest is the length of the shortest of them.
	shortest int
}

func newRedactor(more []string) *redactor {
	r := &redactor{names: make(map[string]struct{}), shortest: maxKey}
	add := func(name string) {
		r.names[name] = struct{}{}
		n := len(name)
		a, b := name[max(n-2, 0)]&31, name[n-1]&31
		r.ends[a] |= 1 << b
		r.shortest = min(r.shortest, n)
	}
	for _, name := range secretNames {
		add(name)
	}
	for _, name := range secretEnds {
		add(name)
	}
	for _, name := range more {
		add(string(normalize(nil, name)))
	}
	return r
}

// normalize appends name's ASCII letters, in lower case, and digits, and what is
// not ASCII as it is.
func normalize(dst []byte, name string) []byte {
	for i := range len(name) {
		switch c := name[i]; {
		case 'A' <= c && c <= 'Z':
			dst = append(dst, c|0x20)
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c >= 0x80:
			dst = append(dst, c)
		}
	}
	return dst
}

func letter(c byte) bool { c |= 0x20; return 'a' <= c && c <= 'z' }

// secret reports whether what goes by name is to be redacted. Of a dotted name,
// such as http.request.header.authorization, the last part counts too.
func (r *redactor) secret(name string) bool {
	n := len(name)
	if n < r.shortest {
		return false
	}
	if n >= 2 && letter(name[n-1]) && letter(name[n-2]) && r.ends[name[n-2]&31]&(1<<(name[n-1]&31)) == 0 {
		return false
	}
	return r.search(name[max(n-maxKey, 0):])
}

func (r *redactor) search(name string) bool {
	var scratch [maxKey]byte
	whole := normalize(scratch[:0], name)
	if r.has(whole) {
		return true
	}
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
		return r.has(normalize(scratch[:0], name[dot+1:]))
	}
	return false
}

func (r *redactor) has(name []byte) bool {
	if _, ok := r.names[string(name)]; ok {
		return true
	}
	for _, end := range secretEnds {
		if len(name) > len(end) && string(name[len(name)-len(end):]) == end {
			return true
		}
	}
	return false
}

// url returns u without its password and without the values of parameters that
// are secrets. What is not a parameter at all stays.
func (r *redactor) url(u *url.URL) string {
	query, fragment := r.query(u.RawQuery), r.query(u.EscapedFragment())
	if query == u.RawQuery && fragment == u.EscapedFragment() {
		return u.Redacted()
	}
	c := *u
	c.RawQuery, c.Fragment, c.RawFragment = query, "", ""
	text := c.Redacted()
	if fragment != "" {
		text += "#" + fragment
	}
	return text
}

// query replaces the values of secret parameters. Some servers part them by
// semicolons.
func (r *redactor) query(raw string) string {
	var b strings.Builder
	rest, changed := raw, false
	for rest != "" {
		part, sep := rest, ""
		if i := strings.IndexAny(rest, "&;"); i >= 0 {
			part, sep = rest[:i], rest[i:i+1]
		}
		rest = rest[len(part)+len(sep):]
		name, _, ok := strings.Cut(part, "=")
		if plain, err := url.QueryUnescape(name); err == nil && ok && r.secretParameter(plain) {
			part, changed = name+"="+redacted, true
		}
		b.WriteString(part + sep)
	}
	if !changed {
		return raw
	}
	return b.String()
}

func (r *redactor) secretParameter(name string) bool {
	return r.secret(name) || slices.Contains(secretParameters[:], string(normalize(nil, limit(name, maxKey))))
}

// maxErrors is how many errors of a tree are looked at.
const maxErrors = 1000

// errorText is err's text, where the errors of HTTP clients and of url.Parse name
// the URL without its secrets.
func (r *redactor) errorText(err error) string {
	text := err.Error()
	if strings.IndexByte(text, '"') < 0 { // a *url.Error quotes
		return text
	}
	budget := maxErrors
	text = r.withoutSecrets(text, err, &budget)
	if budget <= 0 {
		return redacted
	}
	return text
}

// withoutSecrets goes through err's tree: a retry joins the errors of its attempts.
func (r *redactor) withoutSecrets(text string, err error, budget *int) string {
	for *budget > 0 {
		*budget--
		if failed, ok := err.(*url.Error); ok {
			text = r.urlError(text, failed)
		}
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			for _, err := range e.Unwrap() {
				text = r.withoutSecrets(text, err, budget)
			}
			return text
		default:
			return text
		}
	}
	return text
}

func (r *redactor) urlError(text string, failed *url.Error) string {
	u, err := url.Parse(failed.URL)
	if err != nil { // then anything may be a secret, and the reason quotes some of it
		text = strings.ReplaceAll(text, failed.Error(), failed.Op+` "`+redacted+`"`)
		return strings.ReplaceAll(text, strconv.Quote(failed.URL), `"`+redacted+`"`)
	}
	clean := r.url(u)
	text = strings.ReplaceAll(text, strconv.Quote(failed.URL), strconv.Quote(clean))
	return strings.ReplaceAll(text, failed.URL, clean)
}
