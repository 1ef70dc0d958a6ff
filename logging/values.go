package logging

import (
	"bytes"
	"crypto"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// any appends a value as slog.JSONHandler does, an error by its text and all
// else by encoding/json, but for the types that hold secrets. What fails or
// panics in that becomes text itself: a broken value must not cost the record,
// let alone the process.
func (r *record) any(value any) {
	start := len(r.buf)
	defer func() {
		if v := recover(); v != nil {
			r.buf = r.buf[:start]
			r.string(fmt.Sprintf("!PANIC: %v", v)) // fmt survives what panics in turn
		}
	}()
	switch v := value.(type) {
	case nil:
		r.buf = append(r.buf, "null"...)
	case *url.URL:
		r.string(r.l.redact.url(v))
	case url.URL:
		r.string(r.l.redact.url(&v))
	case *url.Userinfo, url.Userinfo, *http.Cookie, http.Cookie, []*http.Cookie, interface{ Public() crypto.PublicKey }:
		r.string(redacted) // the last are private keys
	case interface{ Redacted() string }:
		r.string(v.Redacted())
	case json.Marshaler:
		r.marshal(v)
	case error:
		r.string(r.l.redact.errorText(v))
	default:
		r.marshal(v)
	}
}

// A jsonEncoder keeps encoding/json's buffer, and an Encoder because only that
// leaves <, > and & alone.
type jsonEncoder struct {
	buf bytes.Buffer
	enc *json.Encoder
}

func (r *record) marshal(value any) {
	if r.json == nil {
		r.json = new(jsonEncoder)
		r.json.enc = json.NewEncoder(&r.json.buf)
		r.json.enc.SetEscapeHTML(false)
	}
	e := r.json
	e.buf.Reset()
	if err := e.enc.Encode(value); err != nil {
		r.string("!ERROR:" + err.Error())
		return
	}
	start := len(r.buf)
	r.buf = r.l.redact.json(r.buf, e.buf.Bytes()[:e.buf.Len()-1])
	if e.buf.Cap() > maxPooled {
		r.json = nil
	}
	if len(r.buf)-start > r.l.maxField+2 { // a text's quotes
		text := string(r.buf[start:])
		r.buf = r.buf[:start]
		r.string(text)
	}
}

// json appends src, which encoding/json wrote, with the values of secret members
// redacted, at any depth, and with what appendText escapes escaped: a
// json.RawMessage or a MarshalJSON brings that along.
func (r *redactor) json(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		if src[i] != '"' {
			dst = append(dst, src[i])
			i++
			continue
		}
		end := skipString(src, i)
		text := src[i+1 : end-1]
		dst = appendQuoted(append(dst, '"'), text)
		dst = append(dst, '"')
		i = end
		if i < len(src) && src[i] == ':' && r.secretMember(text) {
			dst = append(dst, `:"`+redacted+`"`...)
			i = skipValue(src, i+1)
		}
	}
	return dst
}

func (r *redactor) secretMember(text []byte) bool {
	if bytes.IndexByte(text, '\\') < 0 {
		return r.secret(string(text)) // does not escape: no allocation for short names
	}
	var name string
	quoted := append(append([]byte{'"'}, text...), '"')
	return json.Unmarshal(quoted, &name) == nil && r.secret(name)
}

// skipString returns where the string that begins at src[i] has ended.
func skipString(src []byte, i int) int {
	for i++; src[i] != '"'; i++ {
		if src[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// skipValue returns where the value that begins at src[i] has ended.
func skipValue(src []byte, i int) int {
	for depth := 0; i < len(src); i++ {
		switch src[i] {
		case '"':
			i = skipString(src, i) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return i
}

// appendQuoted is appendText for what is the inside of a JSON string already.
func appendQuoted(dst, text []byte) []byte {
	for len(text) > 0 {
		n := bytes.IndexByte(text, '\\')
		if n < 0 {
			return appendText(dst, string(text))
		}
		dst = appendText(dst, string(text[:n]))
		dst = append(dst, text[n:n+2]...) // the letter after it is ASCII
		text = text[n+2:]
	}
	return dst
}
