// Package bearer reads credentials from the fields of a request, the same over
// HTTP and gRPC.
package bearer

import "strings"

// Max is how long a token or key may be, in bytes. A header may have 1 MiB, all
// of which somebody would have to read.
const Max = 16 << 10

// Reasons why a credential is refused, for the log.
const (
	MalformedField = "malformed Authorization field"
	MalformedKey   = "malformed API key field"
	MalformedValue = "malformed cookie"
	TooLong        = "longer than 16 KiB"
)

// Token returns the token of an Authorization field (RFC 6750 §2.1), or "" if
// the field has another scheme, or the reason why it is refused.
//
// Of the token's alphabet it looks only for what would end it, because to look up
// each byte costs more (0.4 µs for 763) than to find the token in a cache: whoever
// verifies a token compares or decodes all of it.
func Token(field string) (token, reason string) {
	scheme, token, _ := strings.Cut(field, " ")
	if scheme != "Bearer" && !strings.EqualFold(scheme, "Bearer") {
		if !IsToken(scheme) {
			return "", MalformedField
		}
		return "", ""
	}
	token = strings.TrimLeft(token, " ") // 1*SP
	if reason := Malformed(token, MalformedField); reason != "" {
		return "", reason
	}
	return token, ""
}

// Malformed returns what is wrong with a credential: TooLong, reason, or "" if
// nothing is. A comma is where a proxy has made one field of two.
func Malformed(s, reason string) string {
	if len(s) > Max {
		return TooLong
	}
	if s == "" || strings.IndexByte(s, ',') >= 0 || strings.IndexByte(s, ' ') >= 0 {
		return reason
	}
	return ""
}

// IsToken reports whether s is an RFC 9110 §5.6.2 token.
func IsToken(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0:
			return false
		}
	}
	return s != ""
}
