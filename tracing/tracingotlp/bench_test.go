package tracingotlp_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/ballast-go/ballast/tracing"
	"github.com/ballast-go/ballast/tracing/tracingotlp"
)

// What a span costs that is not sampled, beside the SDK as it is configured
// otherwise, and a span that is, with a collector that is down.
func BenchmarkStart(b *testing.B) {
	provider := func(ratio float64) trace.TracerProvider {
		p, err := tracingotlp.New(b.Context(), tracingotlp.Config{ServiceName: "bench", Endpoint: "http://127.0.0.1:1", Ratio: ratio})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			ended, cancel := context.WithCancel(context.Background())
			cancel()
			p.Close(ended)
		})
		return p.TracerProvider()
	}
	remote := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, Remote: true})
	for _, c := range []struct {
		name string
		tp   trace.TracerProvider
		ctx  context.Context
	}{
		{"noop", noop.NewTracerProvider(), context.Background()},
		{"unsampled", provider(-1), context.Background()},
		{"unsampled child", provider(-1), trace.ContextWithSpanContext(context.Background(), remote)},
		{"unsampled SDK", sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0)))), context.Background()},
		{"sampled", provider(1), context.Background()},
	} {
		tracer := c.tp.Tracer("bench")
		options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)}
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, span := tracer.Start(c.ctx, "GET /", options...)
				span.End()
			}
		})
	}
}

// What package tracing's Middleware costs with a provider: all of the state that
// a request has included, since there is no other middleware here.
func BenchmarkMiddleware(b *testing.B) {
	next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	for _, c := range []struct {
		name  string
		ratio float64
	}{{"unsampled", -1}, {"1 %", 0.01}, {"sampled", 1}} {
		p, err := tracingotlp.New(b.Context(), tracingotlp.Config{ServiceName: "bench", Endpoint: "http://127.0.0.1:1", Ratio: c.ratio, CloseTimeout: 1})
		if err != nil {
			b.Fatal(err)
		}
		defer p.Close(b.Context())
		b.Run(c.name, func(b *testing.B) {
			h := tracing.Middleware(p.TracerProvider(), tracing.MiddlewareConfig{})(next)
			r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		})
	}
}
