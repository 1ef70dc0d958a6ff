package ratelimit_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/ballast-go/ballast/ratelimit"
)

// mustNew is a limiter that a test needs.
func mustNew(t testing.TB, limit ratelimit.Limit) *ratelimit.Keyed {
	t.Helper()
	l, err := ratelimit.New(ratelimit.Config{Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// scripted is a limiter that answers what it is told.
type scripted struct {
	d    ratelimit.Decision
	err  error
	keys []string
	n    []int
}

func (s *scripted) AllowN(_ context.Context, key string, n int) (ratelimit.Decision, error) {
	s.keys, s.n = append(s.keys, key), append(s.n, n)
	return s.d, s.err
}

func (s *scripted) Return(context.Context, string, int) error { return nil }

func one(*http.Request) string { return "one" }

var ok = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })

func get(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestMiddleware(t *testing.T) {
	h := ratelimit.Middleware(mustNew(t, ratelimit.PerHour(2)), ratelimit.MiddlewareConfig{
		Key: func(r *http.Request) string { return r.Header.Get("X-Key") },
	})(ok)
	for i, want := range []struct {
		key    string
		status int
		limit  string
	}{
		{"a", 204, `"default";r=1;t=1800`},
		{"a", 204, `"default";r=0;t=1800`},
		{"a", 429, `"default";r=0;t=1800`},
		{"b", 204, `"default";r=1;t=1800`},
		{"", 204, `"default";r=1;t=1800`},
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("X-Key", want.key)
		w := get(h, r)
		if w.Code != want.status || w.Header().Get("RateLimit") != want.limit || w.Header().Get("RateLimit-Policy") != `"default";q=2;w=3600` {
			t.Errorf("%d: %d, %q; want %+v", i, w.Code, w.Header(), want)
		}
		if (w.Header().Get("Retry-After") != "") != (want.status == 429) {
			t.Errorf("%d: Retry-After %q with a %d", i, w.Header().Get("Retry-After"), w.Code)
		}
	}
}

func TestMiddlewareCost(t *testing.T) {
	l := &scripted{d: ratelimit.Decision{OK: true}}
	h := ratelimit.Middleware(l, ratelimit.MiddlewareConfig{
		Key:  one,
		Cost: func(r *http.Request) int { return int(r.ContentLength) },
	})(ok)
	for _, size := range []int64{0, 7, 1 << 40} {
		r := httptest.NewRequest("POST", "/", nil)
		r.ContentLength = size
		get(h, r)
		if got := l.n[len(l.n)-1]; int64(got) != size || l.keys[len(l.keys)-1] != "one" {
			t.Errorf("asked for %d of %q, want %d", got, l.keys[len(l.keys)-1], size)
		}
	}
	l = &scripted{d: ratelimit.Decision{OK: true}}
	get(ratelimit.Middleware(l, ratelimit.MiddlewareConfig{Key: one})(ok), httptest.NewRequest("GET", "/", nil))
	if len(l.n) != 1 || l.n[0] != 1 {
		t.Errorf("without Cost it asked for %d", l.n)
	}

	keyed := ratelimit.Middleware(mustNew(t, ratelimit.PerHour(1)), ratelimit.MiddlewareConfig{
		Key: one, Cost: func(*http.Request) int { return -1 },
	})(ok)
	if w := get(keyed, httptest.NewRequest("GET", "/", nil)); w.Code != 500 {
		t.Errorf("a negative cost: %d, want 500", w.Code)
	}
}

// The limiter's Decision counts, and its error says why it is a refusal.
func TestMiddlewareWhenTheLimiterFails(t *testing.T) {
	errDown := errors.New("redis: secret address 10.0.0.1 refused")
	for name, tt := range map[string]struct {
		l      scripted
		status int
	}{
		"fails open":             {scripted{d: ratelimit.Decision{OK: true}, err: errDown}, 204},
		"fails closed":           {scripted{err: errDown}, 500},
		"fails closed, for now":  {scripted{err: transient{errDown}}, 503},
		"denies without failing": {scripted{d: ratelimit.Decision{RetryAfter: time.Second}}, 429},
	} {
		t.Run(name, func(t *testing.T) {
			w := get(ratelimit.Middleware(&tt.l, ratelimit.MiddlewareConfig{Key: one})(ok), httptest.NewRequest("GET", "/", nil))
			if w.Code != tt.status {
				t.Errorf("status %d, want %d", w.Code, tt.status)
			}
			if w.Header().Get("RateLimit") != "" {
				t.Errorf("a Decision without a Limit set %q", w.Header())
			}
		})
	}
}

type transient struct{ error }

func (transient) Retryable() bool           { return true }
func (transient) RetryDelay() time.Duration { return 0 }

// Deny gets the error, and header fields that are set already.
func TestMiddlewareDeny(t *testing.T) {
	errDown := errors.New("down")
	for name, l := range map[string]ratelimit.Limiter{
		"denied": &scripted{d: ratelimit.Decision{Rule: "r", Limit: ratelimit.PerSecond(1), RetryAfter: time.Second}},
		"failed": &scripted{d: ratelimit.Decision{Rule: "r", Limit: ratelimit.PerSecond(1)}, err: errDown},
	} {
		t.Run(name, func(t *testing.T) {
			var got error
			h := ratelimit.Middleware(l, ratelimit.MiddlewareConfig{
				Key: one,
				Deny: func(w http.ResponseWriter, r *http.Request, err error) {
					got = err
					if w.Header().Get("RateLimit") != `"r";r=0;t=1` {
						t.Errorf("Deny finds %q", w.Header())
					}
					w.WriteHeader(http.StatusTeapot)
				},
			})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("served") }))
			if w := get(h, httptest.NewRequest("GET", "/", nil)); w.Code != http.StatusTeapot {
				t.Errorf("status %d is not Deny's", w.Code)
			}
			limited, is := errors.AsType[*ratelimit.LimitedError](got)
			if name == "failed" && !errors.Is(got, errDown) || name == "denied" && (!is || limited.Decision.Rule != "r") {
				t.Errorf("Deny got %v", got)
			}
		})
	}
}

func TestMiddlewareRefusesToBeBuilt(t *testing.T) {
	for name, build := range map[string]func(){
		"nil limiter": func() { ratelimit.Middleware(nil, ratelimit.MiddlewareConfig{Key: one}) },
		"no key":      func() { ratelimit.Middleware(&scripted{}, ratelimit.MiddlewareConfig{}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			build()
		}()
	}
}
