package tracing_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/ballast-go/ballast/internal/spantest"
	"github.com/ballast-go/ballast/tracing"
)

// BenchmarkMiddleware is what tracing adds to a chain that has a State already, for
// requests that are not sampled. benchmarks/observability has it with the SDK.
func BenchmarkMiddleware(b *testing.B) {
	inner := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	o := new(silent)
	for name, h := range map[string]http.Handler{
		"without": inner,
		"with":    tracing.Middleware(&spantest.Provider{Never: true}, tracing.MiddlewareConfig{})(inner),
	} {
		w, r := &discard{h: http.Header{}}, httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Traceparent", traceparent)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				reqstate.Serve(w, r, h, o)
			}
		})
	}
}
