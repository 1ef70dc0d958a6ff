// Package retryafter reads Retry-After, for every transport that honours it.
package retryafter

import (
	"math"
	"net/http"
	"strconv"
	"time"
)

// Parse reads the field of a response's header (RFC 9110 §10.2.3): seconds or a
// date, which is by the peer's clock if that tells its Date, else by now. What is
// missing, not understood or in the past is 0; what does not fit a
// time.Duration is the longest there is.
func Parse(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if isDigits(v) {
		s, err := strconv.ParseInt(v, 10, 64)
		if err != nil || s > int64(math.MaxInt64/time.Second) {
			return math.MaxInt64
		}
		return time.Duration(s) * time.Second
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	// By the peer's clock, if it tells: ours may differ.
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return max(0, at.Sub(now))
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
