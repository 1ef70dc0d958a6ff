// Package spans is what packages tracing and tracinggrpc have in common: reading and
// writing W3C Trace Context, deciding what of a remote one is believed, and putting a
// [reqstate.Record] into a span.
package spans

import (
	"strings"
	"unicode/utf8"
)

// Scope names the tracers.
const Scope = "github.com/ballast-go/ballast/tracing"

// Limits of what comes from outside, in bytes.
const (
	MaxUserAgent = 256
	MaxPath      = 512
	MaxMethod    = 32  // an HTTP method that is no standard one
	MaxRPC       = 256 // a full method, which clients choose where unknown services are handled
	maxReason    = 64
	maxRequestID = 128
)

// Clip bounds s, and makes it what OTLP can carry: one string that is not UTF-8
// fails the export of everybody's spans.
func Clip(s string, most int) string {
	if len(s) > most {
		s = s[:most]
		for i := 1; i < utf8.UTFMax && i <= len(s); i++ { // do not cut a rune in two
			if c := s[len(s)-i]; utf8.RuneStart(c) {
				if !utf8.FullRuneInString(s[len(s)-i:]) {
					s = s[:len(s)-i]
				}
				break
			}
		}
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
