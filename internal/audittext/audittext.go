// Package audittext makes what strangers send fit for a line of an audit.
package audittext

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Max is how many bytes a value may have.
const Max = 256

// Safe returns s with U+FFFD for all that is no printable text: line ends in any
// script, controls, what steers a terminal or the direction of writing, and bytes
// that are no UTF-8. What does not fit into Max bytes then is cut, and ends in "…".
func Safe(s string) string {
	if len(s) <= Max && utf8.ValidString(s) && !strings.ContainsFunc(s, unprintable) {
		return s
	}
	const ellipsis = "…"
	var b strings.Builder
	for _, r := range s { // a byte that is no UTF-8 is a U+FFFD already
		if unprintable(r) {
			r = utf8.RuneError
		}
		if b.Len()+utf8.RuneLen(r) > Max-len(ellipsis) {
			b.WriteString(ellipsis)
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }
