package auth

import (
	"net/http"
	"net/textproto"
	"strings"

	"github.com/ballast-go/ballast/internal/bearer"
)

// cookieValue returns the value of the only cookie called name, or "". It counts
// those that net/http passes over for a character in their value, too, because
// another reader might take one of them.
func cookieValue(h http.Header, name string) (value string, err error) {
	n := 0
	for _, field := range h["Cookie"] {
		for pair := range strings.SplitSeq(field, ";") {
			k, v, _ := strings.Cut(textproto.TrimString(pair), "=")
			if textproto.TrimString(k) == name {
				value = v
				n++
			}
		}
	}
	switch {
	case n > 1:
		return "", ambiguous("several cookies of the name")
	case n == 1:
		if reason := bearer.Malformed(value, bearer.MalformedValue); reason != "" {
			return "", invalid(reason)
		}
	}
	return value, nil
}

// ambiguous is an ErrAmbiguous with a reason for the log.
func ambiguous(reason string) error { return &Error{Cause: ErrAmbiguous, Reason: reason} }
