package ratelimit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ballast-go/ballast/ratelimit"
	"golang.org/x/time/rate"
)

// failing answers every request with err.
func failing(err error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { ratelimit.WriteError(w, r, err) })
}

func TestWriteError(t *testing.T) {
	const secret = "10.0.0.1"
	limited := &ratelimit.LimitedError{Decision: ratelimit.Decision{Rule: secret, RetryAfter: 3 * time.Second}}
	never := &ratelimit.LimitedError{Decision: ratelimit.Decision{Rule: secret, RetryAfter: rate.InfDuration}}
	errDown := errors.New(secret + " is down")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name   string
		ctx    context.Context
		err    error
		status int
		reason string
		least  int // of Retry-After; 0: none
	}{
		{"limited", nil, limited, 429, "rate-limited", 3},
		{"wrapped", nil, fmt.Errorf("%s: %w", secret, limited), 429, "rate-limited", 3},
		{"limited for no time", nil, &ratelimit.LimitedError{}, 429, "rate-limited", 1},
		{"never", nil, never, 429, "cost-exceeds-limit", 0},
		{"transient", nil, transient{errDown}, 503, "unavailable", 1},
		{"of no use to retry", nil, final{errDown}, 500, "", 0},
		{"deadline", nil, fmt.Errorf("%s: %w", secret, context.DeadlineExceeded), 504, "", 0},
		{"gone", gone, fmt.Errorf("%s: %w", secret, context.Canceled), 499, "", 0},
		{"canceled by somebody else", nil, context.Canceled, 500, "", 0},
		{"anything", nil, errDown, 500, "", 0},
		{"negative cost", nil, ratelimit.ErrCost, 500, "", 0},
		{"limited, without a Decision", nil, ratelimit.ErrLimited, 500, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			if tt.ctx != nil {
				r = r.WithContext(tt.ctx)
			}
			w := get(failing(tt.err), r)
			var body struct {
				Status int
				Reason string
			}
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
				t.Fatal(err)
			}
			if w.Code != tt.status || body.Status != tt.status || body.Reason != tt.reason {
				t.Errorf("%d, %s; want %d, reason %q", w.Code, w.Body, tt.status, tt.reason)
			}
			if ct := w.Header().Get("Content-Type"); ct != "application/problem+json" {
				t.Errorf("Content-Type %q", ct)
			}
			if strings.Contains(w.Body.String(), secret) {
				t.Errorf("the client reads %s", w.Body)
			}
			after, err := strconv.Atoi(w.Header().Get("Retry-After"))
			if tt.least == 0 && err == nil || after < tt.least || after > tt.least+1 {
				t.Errorf("Retry-After %q, want %d or a little more", w.Header().Get("Retry-After"), tt.least)
			}
		})
	}
}

type final struct{ error }

func (final) Retryable() bool           { return false }
func (final) RetryDelay() time.Duration { return 0 }

// Ten thousand clients that are turned away in one moment are not told to come
// back in one moment, and none too early.
func TestRetryAfterSpreads(t *testing.T) {
	const clients, wait = 10000, 59*time.Second + 1
	err := &ratelimit.LimitedError{Decision: ratelimit.Decision{RetryAfter: wait}}
	r := httptest.NewRequest("GET", "/", nil)
	seen := map[int]int{}
	for range clients {
		w := get(failing(err), r)
		s, err := strconv.Atoi(w.Header().Get("Retry-After"))
		if err != nil || time.Duration(s)*time.Second < wait {
			t.Fatalf("Retry-After %q is before %v", w.Header().Get("Retry-After"), wait)
		}
		seen[s]++
	}
	// 60 to 76 seconds: 17 values of 588 clients each, give or take 24 (one
	// standard deviation).
	if len(seen) < 15 {
		t.Errorf("%d moments to come back at", len(seen))
	}
	for s, n := range seen {
		if n > clients/10 {
			t.Errorf("%d of %d clients come back after %d s", n, clients, s)
		}
	}
}
