//go:build unix

package metrics_test

import (
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/ballast-go/ballast/metrics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// cpuTime returns what the process has used, all threads and the collector.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func bench(b *testing.B, h http.Handler) {
	w, r := &blank{make(http.Header)}, httptest.NewRequest("GET", "/predict", nil)
	h.ServeHTTP(w, r)
	b.ReportAllocs()
	start := cpuTime()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
	b.ReportMetric(float64(cpuTime()-start)/float64(b.N), "cpu-ns/op")
}

// BenchmarkMiddleware has metrics' marginal cost, what it adds to a chain that
// has the per-request state already, as joined minus state; more exactly,
// because making the state costs and varies much more, as a fifth of
// joined-5-times, by five that are apart, minus state.
func BenchmarkMiddleware(b *testing.B) {
	leaf := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Pattern = "GET /predict"
		w.WriteHeader(http.StatusOK)
	})
	own := func(h http.Handler) http.Handler {
		return metrics.Middleware(mustNew(b, metrics.Config{}), metrics.MiddlewareConfig{})(h)
	}
	b.Run("bare", func(b *testing.B) { bench(b, leaf) })
	b.Run("state", func(b *testing.B) { bench(b, joined(leaf)) })
	b.Run("joined", func(b *testing.B) { bench(b, joined(own(leaf))) })
	b.Run("joined-5-times", func(b *testing.B) { bench(b, joined(own(own(own(own(own(leaf))))))) })
	b.Run("alone", func(b *testing.B) { bench(b, own(leaf)) })
	b.Run("promhttp", func(b *testing.B) { bench(b, byPromhttp(leaf)) })
}

// byPromhttp records the same with promhttp's middlewares, as its examples do.
func byPromhttp(h http.Handler) http.Handler {
	total := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total", Help: "h"},
		[]string{"method", "endpoint", "code"})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_duration_seconds", Help: "h"},
		[]string{"method", "endpoint"})
	active := prometheus.NewGauge(prometheus.GaugeOpts{Name: "http_requests_active", Help: "h"})
	endpoint := prometheus.Labels{"endpoint": "/predict"}
	return promhttp.InstrumentHandlerInFlight(active,
		promhttp.InstrumentHandlerDuration(duration.MustCurryWith(endpoint),
			promhttp.InstrumentHandlerCounter(total.MustCurryWith(endpoint), h)))
}

func BenchmarkModel(b *testing.B) {
	model := mustModel(b, mustNew(b, metrics.Config{}), metrics.ModelInfo{ID: "m"})
	b.Run("Observe", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			model.Observe(20 * time.Millisecond)
		}
	})
	b.Run("CountError", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			model.CountError("timeout")
		}
	})
}

func BenchmarkGenAI(b *testing.B) {
	g := mustGenAI(b, mustNew(b, metrics.Config{}), metrics.GenAIConfig{})
	b.Run("token", func(b *testing.B) {
		c := g.Begin(b.Context(), chat)
		b.ReportAllocs()
		for b.Loop() {
			c.FirstToken()
			c.Tokens(1)
		}
	})
	b.Run("call", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c := g.Begin(b.Context(), chat)
			c.FirstToken()
			c.Tokens(2)
			c.End(nil)
		}
	})
}
