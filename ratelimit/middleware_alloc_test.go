package ratelimit_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/ballast-go/ballast/ratelimit"
)

// forgetful is an observer that allocates nothing.
type forgetful struct{ _ byte }

func (*forgetful) Begin(*reqstate.State, http.ResponseWriter, *http.Request) {}
func (*forgetful) Finish(*reqstate.Record)                                   {}

func (o *forgetful) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { reqstate.Serve(w, r, next, o) })
}

func TestMiddlewareAllocations(t *testing.T) {
	leaf := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	l := mustNew(t, ratelimit.Limit{Rate: 1e9, Burst: 1 << 30})
	own := ratelimit.Middleware(l, ratelimit.MiddlewareConfig{Key: ratelimit.ByClientIP(nil)})
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	measure := func(h http.Handler) float64 {
		return testing.AllocsPerRun(200, func() { h.ServeHTTP(w, r) })
	}
	if n := measure(own(leaf)); n > 1 {
		t.Errorf("an allowed request takes %v allocations, want 1", n)
	}
	o := new(forgetful)
	if n := measure(o.around(own(leaf))) - measure(o.around(leaf)); n > 1 {
		t.Errorf("in a chain it takes %v, want 1", n)
	}
}
