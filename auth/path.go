package auth

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// checkPath returns an ErrPath if two readers of u could take its path for two.
func checkPath(u *url.URL) error {
	if reason := ambiguity(u); reason != "" {
		return &Error{Cause: ErrPath, Reason: reason}
	}
	return nil
}

// ambiguity says what is ambiguous, or "". Path is decoded; RawPath is what was
// sent, where that is not the usual encoding of Path, as with every encoded slash.
func ambiguity(u *url.URL) string {
	if u.Opaque != "" {
		return "no path"
	}
	if u.RawPath != "" {
		if decoded, err := url.PathUnescape(u.RawPath); err != nil || decoded != u.Path {
			return "two paths"
		}
		if hasEncoded(u.RawPath, '/') {
			return "encoded slash"
		}
	}
	p := u.Path
	switch {
	case p == "", p == "*": // CONNECT to an authority; OPTIONS for the server
		return ""
	case !utf8.ValidString(p): // such as a slash in too many bytes
		return "not UTF-8"
	case encodedTwice(p):
		return "encoded twice"
	}
	for i := range len(p) {
		switch c := p[i]; {
		case c < ' ', c == 0x7f:
			return "control character"
		case c == '\\':
			return "backslash"
		}
	}
	return segments(strings.TrimPrefix(p, "/")) // there is none behind http.StripPrefix("/a/", …)
}

// segments looks at what stands between the slashes of p. Some readers take what
// follows a semicolon in a segment for no part of its name (RFC 3986 §3.3).
func segments(p string) string {
	for more := true; more; {
		var segment string
		segment, p, more = strings.Cut(p, "/")
		name, _, parameters := strings.Cut(segment, ";")
		switch {
		case name == "." || name == "..":
			return "dot segment"
		case name == "" && (more || parameters): // the last one may be: a trailing slash
			return "empty segment"
		}
	}
	return ""
}

// encodedTwice reports whether the decoded path p could be decoded again.
func encodedTwice(p string) bool {
	for {
		_, after, found := strings.Cut(p, "%")
		if !found {
			return false
		}
		if len(after) >= 2 && isHex(after[0]) && isHex(after[1]) {
			return true
		}
		p = after
	}
}

// hasEncoded reports whether raw, which is well encoded, has c encoded.
func hasEncoded(raw string, c byte) bool {
	const digits = "0123456789abcdef"
	for {
		_, after, found := strings.Cut(raw, "%")
		if !found {
			return false
		}
		if after[0]|0x20 == digits[c>>4]|0x20 && after[1]|0x20 == digits[c&15]|0x20 {
			return true
		}
		raw = after
	}
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}
