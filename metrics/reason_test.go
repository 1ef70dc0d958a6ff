package metrics_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ballast-go/ballast/internal/problem"
	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/ballast-go/ballast/metrics"
)

func turnedAway(status int, reason string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { problem.Write(w, r, status, "", reason, time.Second) }
}

// A rejection has its reason, whoever stands between; nothing else has one.
func TestReasons(t *testing.T) {
	m := mustNew(t, metrics.Config{})
	mux := http.NewServeMux()
	want := make(map[string]float64)
	add := func(route, status, reason string, h http.HandlerFunc) {
		mux.HandleFunc("GET "+route, h)
		want[rejected("GET", route, status, reason)] = 1
	}
	add("/shed", "503", "shed", turnedAway(503, "shed"))
	add("/limited", "429", "rate-limited", turnedAway(429, "rate-limited"))
	add("/plain", "503", "", turnedAway(503, ""))
	add("/refused", "503", "refused", func(w http.ResponseWriter, r *http.Request) {
		reqstate.FromContext(r.Context()).SetRefused()
		w.WriteHeader(503)
	})
	add("/wrapped", "503", "draining", func(w http.ResponseWriter, r *http.Request) {
		turnedAway(503, "draining")(struct {
			http.ResponseWriter
			unwrapper
		}{w, unwrapper{w}}, r)
	})
	add("/fallback", "200", "", func(w http.ResponseWriter, r *http.Request) {
		reqstate.FromContext(r.Context()).SetReason("breaker-open")
		io.WriteString(w, "an older answer")
	})
	add("/panic", "500", "", func(w http.ResponseWriter, r *http.Request) {
		turnedAway(503, "shed")(w, r)
		panic("after that")
	})
	h := metrics.Middleware(m, metrics.MiddlewareConfig{})(mux)
	for k := range want {
		func() {
			defer func() { _ = recover() }()
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", strings.Split(k, `"`)[1], nil))
		}()
	}
	wantTotals(t, m, want)
}

type unwrapper struct{ w http.ResponseWriter }

func (u unwrapper) Unwrap() http.ResponseWriter { return u.w }

func TestReasonsAreBounded(t *testing.T) {
	m := mustNew(t, metrics.Config{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{reason}", func(w http.ResponseWriter, r *http.Request) {
		turnedAway(503, r.PathValue("reason"))(w, r)
	})
	h := metrics.Middleware(m, metrics.MiddlewareConfig{})(mux)
	for i := range 1000 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", fmt.Sprint("/r", i), nil))
	}
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/"+strings.Repeat("x", 257), nil))
	got := scrape(t, m)
	if n := len(only(got, "http_requests_total")); n != 32 {
		t.Errorf("%d series, want 31 reasons and _other", n)
	}
	if n := got[rejected("GET", "/{reason}", "503", "_other")]; n != 1001-31 {
		t.Errorf("%v of other reasons", n)
	}
	if n := got[`metrics_overflow_total{of="reasons"}`]; n != 1001-31 {
		t.Errorf("%v in the overflow counter", n)
	}
}

// Beyond the bound a rejection stays one, so that shedding under a flood does not page.
func TestOverflowKeepsRejectionsApart(t *testing.T) {
	for _, names := range []metrics.Names{metrics.Guide, metrics.OTel} {
		m := mustNew(t, metrics.Config{MaxSeries: 1, Names: names})
		serve(m)
		h := func(f http.HandlerFunc) {
			metrics.Middleware(m, metrics.MiddlewareConfig{})(f).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		}
		h(turnedAway(503, "shed"))
		h(turnedAway(503, "queue-full"))
		h(turnedAway(503, "auth-unavailable"))
		h(turnedAway(500, ""))
		got := scrape(t, m)
		refused, failed := rejected("GET", "_other", "5xx", "refused"), rejected("GET", "_other", "5xx", "")
		if names == metrics.OTel {
			refused = otelCount("GET", "_other", "5xx", "refused", "")
			failed = otelCount("GET", "_other", "5xx", "_OTHER", "")
		}
		if got[refused] != 2 || got[failed] != 2 || got[`metrics_overflow_total{of="requests"}`] != 4 {
			t.Errorf("%v: %v rejected, %v failed, %v over", names, got[refused], got[failed], got[`metrics_overflow_total{of="requests"}`])
		}
	}
}
