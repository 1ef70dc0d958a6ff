package authrbac

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// maxDepth is how deep a document may be nested; its format needs five levels.
const maxDepth = 16

// value is a JSON value as it was written: encoding/json alone would take Roles
// for roles, and of two members of one name the last.
type value struct {
	kind    kind
	text    string // of strings; numbers as written
	array   []value
	members []member
}

type member struct {
	name  string
	value value
}

type kind string

const (
	object  kind = "an object"
	list    kind = "a list"
	text    kind = "a string"
	number  kind = "a number"
	boolean kind = "true or false"
	null    kind = "null"
)

// problems are what is wrong with a document, each with its place, and no more than
// somebody would read.
type problems []error

const maxProblems = 100

func (p *problems) add(place, format string, args ...any) {
	switch {
	case len(*p) > maxProblems:
		return
	case len(*p) == maxProblems:
		*p = append(*p, errors.New("authrbac: and there is more"))
		return
	}
	what := fmt.Sprintf(format, args...)
	if place != "" {
		what = place + ": " + what
	}
	*p = append(*p, errors.New("authrbac: "+what))
}

// under is the place of a member.
func under(place, name string) string {
	plain := name != "" && strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
	}) < 0
	switch {
	case !plain:
		return fmt.Sprintf("%s[%.100q]", place, name)
	case place == "":
		return name
	}
	return place + "." + name
}

// at is the place of an element.
func at(place string, i int) string { return fmt.Sprintf("%s[%d]", place, i) }

// parseJSON reads document, which must be one JSON value.
func parseJSON(document []byte, errs *problems) (v value, ok bool) {
	if !utf8.Valid(document) {
		errs.add("", "the document is not valid UTF-8")
		return v, false
	}
	dec := json.NewDecoder(bytes.NewReader(document))
	dec.UseNumber()
	v, err := parseValue(dec, "", 0, errs)
	if err == nil {
		if _, more := dec.Token(); more != io.EOF {
			err = errors.New("something follows the document's end")
		}
	}
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		errs.add("", "the document is not JSON: byte %d: %v", dec.InputOffset(), err)
	}
	return v, err == nil
}

func parseValue(dec *json.Decoder, place string, depth int, errs *problems) (v value, err error) {
	token, err := dec.Token()
	if err != nil {
		return v, err
	}
	if depth > maxDepth {
		return v, fmt.Errorf("%s is nested too deep", place)
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '[' {
			return parseList(dec, place, depth, errs)
		}
		return parseObject(dec, place, depth, errs)
	case string:
		return value{kind: text, text: token}, nil
	case json.Number:
		return value{kind: number, text: token.String()}, nil
	case bool:
		return value{kind: boolean}, nil
	}
	return value{kind: null}, nil
}

func parseList(dec *json.Decoder, place string, depth int, errs *problems) (value, error) {
	v := value{kind: list}
	for dec.More() {
		element, err := parseValue(dec, at(place, len(v.array)), depth+1, errs)
		if err != nil {
			return v, err
		}
		v.array = append(v.array, element)
	}
	_, err := dec.Token()
	return v, err
}

func parseObject(dec *json.Decoder, place string, depth int, errs *problems) (value, error) {
	v := value{kind: object}
	seen := make(map[string]bool)
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return v, err
		}
		name := token.(string) // the decoder refuses others
		here := under(place, name)
		if seen[name] {
			errs.add(here, "there twice")
		}
		seen[name] = true
		m, err := parseValue(dec, here, depth+1, errs)
		if err != nil {
			return v, err
		}
		v.members = append(v.members, member{name, m})
	}
	_, err := dec.Token()
	return v, err
}
