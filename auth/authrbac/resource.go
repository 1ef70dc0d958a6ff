package authrbac

import (
	"strings"
	"unicode/utf8"
)

// maxResource is the longest resource that is allowed to anyone, in bytes.
const maxResource = 2048

// wellFormed reports whether a resource is written in the one way that all of its
// readers take for the same: no empty segments and no dot segments, which another
// reader may remove, no control characters, valid UTF-8.
func wellFormed(resource string) bool {
	if len(resource) > maxResource {
		return false
	}
	ascii := true
	segment := 0 // where it begins
	for i := range len(resource) {
		switch c := resource[i]; {
		case c > '/' && c < 0x7f: // most
		case c == '/':
			if !goodSegment(resource[segment:i]) {
				return false
			}
			segment = i + 1
		case c < ' ' || c == 0x7f:
			return false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return goodSegment(resource[segment:]) && (ascii || goodText(resource))
}

func goodSegment(s string) bool { return s != "" && s != "." && s != ".." }

// goodText reports whether s is valid UTF-8 without control characters.
func goodText(s string) bool { return utf8.ValidString(s) && strings.IndexFunc(s, control) < 0 }

// control reports C0, DEL and C1, and Unicode's line and paragraph separators, which
// some readers of logs take for line ends.
func control(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029'
}
