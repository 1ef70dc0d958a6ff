package authrbac

import (
	"errors"
	"fmt"
	"strings"
)

const (
	maxPattern = 512 // bytes of a pattern
	maxMiddle  = 63  // bytes of a pattern between its first and its last star, without the stars in there
)

// pattern is a resource pattern. Whatever the pattern and the resource are, a match
// takes one pass over the resource: what a caller may make up never costs more than
// its length.
type pattern struct {
	text   string
	prefix string // before the first star
	suffix string // behind the last one
	star   star   // the only one, or 0
	nfa    *nfa   // for several
}

type star byte

const (
	within star = 1 + iota // "*": no slash
	across                 // "**"
)

// parsePattern reads a resource pattern.
func parsePattern(text string) (pattern, error) {
	p := pattern{text: text}
	if err := checkPattern(text); err != nil {
		return p, err
	}
	literals, stars := split(text)
	last := len(literals) - 1
	p.prefix = literals[0]
	switch {
	case last == 0:
		return p, nil
	case last == 1:
		p.star = stars[0]
	default:
		var err error
		if p.nfa, err = newNFA(literals[1:last], stars); err != nil {
			return p, err
		}
	}
	p.suffix = literals[last]
	return p, nil
}

func checkPattern(text string) error {
	switch {
	case text == "":
		return errors.New("empty")
	case len(text) > maxPattern:
		return fmt.Errorf("longer than %d bytes", maxPattern)
	case strings.Contains(text, "***"):
		return fmt.Errorf("%q: three stars mean nothing", text)
	case strings.ContainsAny(text, `?[]{}\`):
		return fmt.Errorf(`%q: * and ** are the only wildcards, and ? [ ] { } \ are refused lest they look like others`, text)
	case !wellFormed(text):
		return fmt.Errorf("%q: no resource matches: it has an empty or a dot segment, a control character or invalid UTF-8", text)
	}
	return nil
}

// split returns the text between the stars, and the stars.
func split(text string) (literals []string, stars []star) {
	for {
		i := strings.IndexByte(text, '*')
		if i < 0 {
			return append(literals, text), stars
		}
		literals = append(literals, text[:i])
		rest, double := strings.CutPrefix(text[i+1:], "*")
		if double {
			stars = append(stars, across)
		} else {
			stars = append(stars, within)
		}
		text = rest
	}
}

// literal reports whether the pattern matches itself only.
func (p *pattern) literal() bool { return p.star == 0 && p.nfa == nil }

func (p *pattern) match(resource string) bool {
	if p.literal() {
		return resource == p.prefix
	}
	if len(resource) < len(p.prefix)+len(p.suffix) ||
		!strings.HasPrefix(resource, p.prefix) || !strings.HasSuffix(resource, p.suffix) {
		return false
	}
	middle := resource[len(p.prefix) : len(resource)-len(p.suffix)]
	if p.nfa != nil {
		return p.nfa.match(middle)
	}
	return p.star == across || strings.IndexByte(middle, '/') < 0
}

// nfa is what a pattern has from its first star to its last one, as the automaton
// of Baeza-Yates and Gonnet's shift-and (CACM 35(10), 1992): bit i stands for i
// literal bytes having been matched, and a star is a loop at where it stands.
type nfa struct {
	class  [256]uint8
	masks  []uint64 // by class: the bits from which the byte leads on
	within uint64   // bits with a loop for all but a slash
	across uint64   // bits with a loop for the slash, too
	final  uint64
}

// newNFA makes one of the literals between stars.
func newNFA(literals []string, stars []star) (*nfa, error) {
	n := &nfa{masks: make([]uint64, 1)} // class 0 is of bytes that are in no literal
	at := 0
	for i, s := range stars {
		n.within |= 1 << at
		if s == across {
			n.across |= 1 << at
		}
		if i == len(literals) {
			break
		}
		if at+len(literals[i]) > maxMiddle {
			return nil, fmt.Errorf("more than %d bytes between the first star and the last", maxMiddle)
		}
		for _, c := range []byte(literals[i]) {
			if n.class[c] == 0 {
				n.class[c] = uint8(len(n.masks))
				n.masks = append(n.masks, 0)
			}
			n.masks[n.class[c]] |= 1 << at
			at++
		}
	}
	n.final = 1 << at
	return n, nil
}

func (n *nfa) match(text string) bool {
	at := uint64(1)
	for i := range len(text) {
		loops := n.within
		if text[i] == '/' {
			loops = n.across
		}
		at = at&n.masks[n.class[text[i]]]<<1 | at&loops
		if at == 0 {
			return false
		}
	}
	return at&n.final != 0
}
