package authjwt

import (
	"errors"
	"math"
	"strconv"
	"unicode/utf8"
)

// Why a document is refused. They name no part of it: it may be anybody's.
var (
	errJSON      = errors.New("not one well-formed JSON object")
	errUTF8      = errors.New("invalid UTF-8")
	errDuplicate = errors.New("a member twice")
	errDepth     = errors.New("nested too deeply")
	errNumber    = errors.New("a number out of range")
	errMany      = errors.New("too many values")
)

const (
	// maxDepth is how deep objects and lists may be nested. Providers need 4.
	maxDepth = 16
	// maxNumber is how long a number may be, in bytes: to read 12 KB of digits
	// takes as long as four signatures.
	maxNumber = 128
)

// parseJSON reads one JSON object into what encoding/json makes of it, but with
// what two readers could understand differently refused: a member twice at any
// level (RFC 7519 §4 asks for that of claims), invalid UTF-8, half a surrogate
// pair, anything behind the object, and numbers that no float64 holds.
func parseJSON(document []byte) (map[string]any, error) {
	return parseWith(nil, document, math.MaxInt)
}

// parseWith is parseJSON of at most so many values, with strings from b where it
// has them.
func parseWith(b *boxes, document []byte, values int) (map[string]any, error) {
	if !utf8.Valid(document) {
		return nil, errUTF8
	}
	p := parser{s: string(document), boxes: b, left: values}
	p.space()
	if p.peek() != '{' {
		return nil, errJSON
	}
	object, err := p.object(0)
	if err != nil {
		return nil, err
	}
	p.space()
	if p.i != len(p.s) {
		return nil, errJSON
	}
	return object, nil
}

// parser reads s from i on. Strings without escapes are parts of s.
type parser struct {
	s     string
	i     int
	boxes *boxes
	left  int // how many more values there may be
	last  any // the number before: iat and nbf are often one
}

// peek returns the next byte, or 0 at the end, which no JSON text has.
func (p *parser) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

// next consumes c.
func (p *parser) next(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.i++
	return true
}

func (p *parser) space() {
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ' ', '\t', '\n', '\r':
			p.i++
		default:
			return
		}
	}
}

func (p *parser) value(depth int) (any, error) {
	if p.left--; p.left < 0 {
		return nil, errMany
	}
	switch c := p.peek(); {
	case c == '"':
		s, err := p.text()
		if err != nil {
			return nil, err
		}
		return p.boxes.value(s), nil
	case c == '{':
		return p.object(depth + 1)
	case c == '[':
		return p.list(depth + 1)
	case c == '-' || '0' <= c && c <= '9':
		n, err := p.number()
		if last, ok := p.last.(float64); err != nil || !ok || last != n || n == 0 {
			p.last = n
		}
		return p.last, err
	case p.word("true"):
		return true, nil
	case p.word("false"):
		return false, nil
	case p.word("null"):
		return nil, nil
	}
	return nil, errJSON
}

// word consumes w. What follows it is for the caller to judge.
func (p *parser) word(w string) bool {
	if len(p.s)-p.i < len(w) || p.s[p.i:p.i+len(w)] != w {
		return false
	}
	p.i += len(w)
	return true
}

// object reads from a { on.
func (p *parser) object(depth int) (map[string]any, error) {
	if depth >= maxDepth {
		return nil, errDepth
	}
	// A top-level object of claims has about twelve: the map grows no more.
	hint := 0
	if depth == 0 {
		hint = 14
	}
	object := make(map[string]any, hint)
	p.i++
	p.space()
	if p.next('}') {
		return object, nil
	}
	for n := 1; ; n++ {
		p.space()
		if p.peek() != '"' {
			return nil, errJSON
		}
		name, err := p.text()
		if err != nil {
			return nil, err
		}
		p.space()
		if !p.next(':') {
			return nil, errJSON
		}
		p.space()
		if object[name], err = p.value(depth); err != nil {
			return nil, err
		}
		if len(object) != n {
			return nil, errDuplicate
		}
		p.space()
		if p.next('}') {
			return object, nil
		}
		if !p.next(',') {
			return nil, errJSON
		}
	}
}

// list reads from a [ on.
func (p *parser) list(depth int) ([]any, error) {
	if depth >= maxDepth {
		return nil, errDepth
	}
	p.i++
	p.space()
	if p.next(']') {
		return []any{}, nil
	}
	list := make([]any, 0, 4) // of roles there are often two or three
	for {
		p.space()
		v, err := p.value(depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		p.space()
		if p.next(']') {
			return list, nil
		}
		if !p.next(',') {
			return nil, errJSON
		}
	}
}

// text reads a string from its first quotation mark on.
func (p *parser) text() (string, error) {
	p.i++
	for start := p.i; p.i < len(p.s); p.i++ {
		switch c := p.s[p.i]; {
		case c == '"':
			p.i++
			return p.s[start : p.i-1], nil
		case c == '\\':
			return p.escaped(append([]byte(nil), p.s[start:p.i]...))
		case c < ' ':
			return "", errJSON
		}
	}
	return "", errJSON
}

// escaped reads the rest of a string behind b, from an escape on.
func (p *parser) escaped(b []byte) (string, error) {
	for p.i < len(p.s) {
		c := p.s[p.i]
		p.i++
		switch {
		case c == '"':
			return string(b), nil
		case c < ' ':
			return "", errJSON
		case c != '\\':
			b = append(b, c)
			continue
		}
		c = p.peek()
		p.i++
		switch c {
		case '"', '\\', '/':
			b = append(b, c)
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r, ok := p.rune()
			if !ok {
				return "", errJSON
			}
			b = utf8.AppendRune(b, r)
		default:
			return "", errJSON
		}
	}
	return "", errJSON
}

// rune reads what follows \u, and the second half of a surrogate pair.
func (p *parser) rune() (rune, bool) {
	r, ok := p.hex()
	if !ok || r < 0xd800 || r > 0xdfff {
		return r, ok
	}
	if r >= 0xdc00 || !p.word(`\u`) {
		return 0, false
	}
	low, ok := p.hex()
	if !ok || low < 0xdc00 || low > 0xdfff {
		return 0, false
	}
	return (r-0xd800)<<10 + (low - 0xdc00) + 0x10000, true
}

// hex reads four hexadecimal digits.
func (p *parser) hex() (r rune, ok bool) {
	for range 4 {
		c := p.peek()
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
		p.i++
	}
	return r, true
}

// number reads a number as RFC 8259 §6 spells it.
func (p *parser) number() (float64, error) {
	start := p.i
	negative := p.next('-')
	n, digits, ok := p.digits()
	if !ok {
		return 0, errJSON
	}
	whole := true
	if p.next('.') {
		whole = false
		if !p.fraction() {
			return 0, errJSON
		}
	}
	if p.next('e') || p.next('E') {
		whole = false
		if !p.next('-') {
			p.next('+')
		}
		if !p.fraction() {
			return 0, errJSON
		}
	}
	if whole && digits <= 15 { // which a float64 holds exactly
		if negative {
			return -float64(n), nil
		}
		return float64(n), nil
	}
	if p.i-start > maxNumber {
		return 0, errNumber
	}
	p.left -= 3 // it can take as long as four others
	f, err := strconv.ParseFloat(p.s[start:p.i], 64)
	if err != nil || math.IsInf(f, 0) {
		return 0, errNumber
	}
	return f, nil
}

// digits reads the integer part: 0, or digits that do not begin with it. Of
// more than 15 digits n is meaningless.
func (p *parser) digits() (n int64, count int, ok bool) {
	if p.next('0') {
		return 0, 1, true
	}
	for ; '0' <= p.peek() && p.peek() <= '9'; p.i++ {
		n = n*10 + int64(p.peek()-'0')
		count++
	}
	return n, count, count > 0
}

// fraction reads one digit or more.
func (p *parser) fraction() bool {
	start := p.i
	for '0' <= p.peek() && p.peek() <= '9' {
		p.i++
	}
	return p.i > start
}
