package ratelimit_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/ballast-go/ballast/ratelimit"
)

// An observer stands for the logging and metrics middlewares.
type observer struct {
	w    http.ResponseWriter
	recs []reqstate.Record
}

func (o *observer) Begin(_ *reqstate.State, w http.ResponseWriter, _ *http.Request) { o.w = w }
func (o *observer) Finish(rec *reqstate.Record)                                     { o.recs = append(o.recs, *rec) }

func (o *observer) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { reqstate.Serve(w, r, next, o) })
}

// Between two observers it breaks nothing of what they share, and both see the
// denials that it answers.
func TestMiddlewareBesideObservers(t *testing.T) {
	var outer, inner observer
	l := mustNew(t, ratelimit.PerHour(1))
	mux := http.NewServeMux()
	mux.Handle("GET /models/{name}", ok)
	h := outer.around(ratelimit.Middleware(l, ratelimit.MiddlewareConfig{Key: one})(inner.around(mux)))
	get(h, httptest.NewRequest("GET", "/models/a", nil))
	if outer.w == nil || outer.w != inner.w {
		t.Error("the response was wrapped twice")
	}
	get(h, httptest.NewRequest("GET", "/models/a", nil))
	if len(outer.recs) != 2 || len(inner.recs) != 1 {
		t.Fatalf("%d and %d records, want 2 and 1", len(outer.recs), len(inner.recs))
	}
	for i, want := range []struct {
		status int
		route  string
	}{{204, "/models/{name}"}, {429, reqstate.Unmatched}} {
		if rec := outer.recs[i]; rec.Status != want.status || rec.Route != want.route || rec.Outcome != reqstate.Complete {
			t.Errorf("record %d: %d %s %v, want %+v", i, rec.Status, rec.Route, rec.Outcome, want)
		}
	}
}

// The time of a decision is when the request began, if somebody has looked, and
// else the present.
func TestMiddlewareKnowsTheTime(t *testing.T) {
	plain := func(next http.Handler) http.Handler { return next }
	slow := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-time.After(40 * time.Second)
			next.ServeHTTP(w, r)
		})
	}
	optsOut := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(reqstate.WithoutState(r.Context())))
		})
	}
	for name, tt := range map[string]struct {
		outer, inner func(http.Handler) http.Handler
		charged      time.Duration // after the request's start
	}{
		"with a state":    {new(observer).around, plain, 0},
		"without one":     {plain, plain, 40 * time.Second},
		"opted out of it": {new(observer).around, optsOut, 40 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := mustNew(t, ratelimit.PerMinute(1))
				start := time.Now()
				h := tt.outer(slow(tt.inner(ratelimit.Middleware(l, ratelimit.MiddlewareConfig{Key: one})(ok))))
				if w := get(h, httptest.NewRequest("GET", "/", nil)); w.Code != 204 {
					t.Fatal(w.Code)
				}
				due := start.Add(tt.charged + time.Minute)
				if l.AllowAt(due.Add(-1), "one", 1).OK || !l.AllowAt(due, "one", 1).OK {
					t.Errorf("not charged %v after the request's start", tt.charged)
				}
			})
		})
	}
}

// A negative cost is an error, whoever knows the time.
func TestMiddlewareNegativeCostBehindAnObserver(t *testing.T) {
	h := ratelimit.Middleware(mustNew(t, ratelimit.PerHour(1)), ratelimit.MiddlewareConfig{
		Key: one, Cost: func(*http.Request) int { return -1 },
	})(ok)
	if w := get(new(observer).around(h), httptest.NewRequest("GET", "/", nil)); w.Code != 500 {
		t.Errorf("%d, want 500", w.Code)
	}
}

// A request that a handler starts after its own is over is a new one.
func TestMiddlewareAfterTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := mustNew(t, ratelimit.PerMinute(1))
		var late *http.Request
		new(observer).around(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { late = r })).
			ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		<-time.After(time.Hour)
		h := ratelimit.Middleware(l, ratelimit.MiddlewareConfig{Key: one})(ok)
		if w := get(h, late); w.Code != 204 {
			t.Fatal(w.Code)
		}
		if l.AllowAt(time.Now(), "one", 1).OK {
			t.Error("charged at a time long past")
		}
	})
}
