package ratelimit_test

import (
	"context"
	"errors"
	"math/big"
	"net/http"
	"testing"
	"time"

	"github.com/ballast-go/ballast/ratelimit"
)

// naiveRetryAfter is what a peer asks for, in seconds and at most longest.
func naiveRetryAfter(value, date string, now time.Time, longest int64) int64 {
	digits := value != ""
	for _, c := range value {
		digits = digits && '0' <= c && c <= '9'
	}
	asked := new(big.Int)
	if digits {
		asked.SetString(value, 10)
	} else {
		at, err := http.ParseTime(value)
		if err != nil {
			return 0
		}
		if d, err := http.ParseTime(date); err == nil {
			now = d
		}
		asked.SetInt64(at.Unix() - now.Unix())
	}
	if asked.Sign() < 0 {
		return 0
	}
	if asked.Cmp(big.NewInt(longest)) > 0 {
		return longest
	}
	return asked.Int64()
}

func FuzzRetryAfter(f *testing.F) {
	const date = "Tue, 15 Nov 1994 08:12:31 GMT"
	for _, v := range []string{"", "0", "120", "-1", "1e3", "99999999999999999999", "Tue, 15 Nov 1994 08:12:41 GMT",
		"Tuesday, 15-Nov-94 08:12:41 GMT", "Tue Nov 15 08:12:41 1994", "Tue, 15 Nov 1994 08:12:31 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 GMT"} {
		f.Add(v, date)
		f.Add(v, "")
	}
	const longest = 1000
	f.Fuzz(func(t *testing.T, value, date string) {
		first := respond(429, "")
		first.Header["Retry-After"], first.Header["Date"] = []string{value}, []string{date}
		rt := ratelimit.NewTransport(newPeer(firstThen(first)), nil, ratelimit.TransportConfig{MaxRetryAfter: longest * time.Second})
		now := time.Now()
		mustCall(t, rt, "http://a.example/")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		var got time.Duration
		_, err := call(t, ctx, rt, "http://a.example/")
		if hint, ok := errors.AsType[interface {
			error
			RetryDelay() time.Duration
		}](err); ok {
			got = hint.RetryDelay()
		}
		want := time.Duration(naiveRetryAfter(value, date, now, longest)) * time.Second
		// What is left is less than what was asked for, and the clock has moved
		// on by as much as this machine was busy.
		if got > want || got < want-10*time.Second {
			t.Errorf("Retry-After %q at %q: held for %v, want %v", value, date, got, want)
		}
	})
}
