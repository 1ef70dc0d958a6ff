package tracing_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/ballast-go/ballast/internal/spantest"
	"github.com/ballast-go/ballast/tracing"
)

// provider stands for tracingotlp's, or any other.
func provider() trace.TracerProvider { return noop.NewTracerProvider() }

func Example() {
	p := &spantest.Provider{} // for this example; a service has tracingotlp's
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models/{name}", func(w http.ResponseWriter, r *http.Request) {
		_, span := p.Tracer("model").Start(r.Context(), "preprocess")
		defer span.End()
	})
	handler := tracing.Middleware(p, tracing.MiddlewareConfig{})(mux)
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/v1/models/llama?key=secret", nil))
	for _, span := range p.Ended() {
		fmt.Println(span.Data().Name)
	}
	// Output:
	// GET /v1/models/{name}
	// preprocess
}

// Requests from the mesh continue its traces; all others begin their own.
func ExampleMiddleware() {
	mesh := netip.MustParsePrefix("10.0.0.0/8")
	handler := tracing.Middleware(provider(), tracing.MiddlewareConfig{
		Trust:       tracing.TrustedPeers(mesh),
		MaxForced:   20,
		BaggageKeys: []string{"tenant"},
		Skip:        func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/health/") },
	})(http.NotFoundHandler())
	_ = handler
}

// Tracing comes before authentication by tokens; what it can ask is whether the
// connection has shown a client certificate that the server has verified.
func ExampleMiddleware_authenticated() {
	handler := tracing.Middleware(provider(), tracing.MiddlewareConfig{
		Trust: func(r *http.Request) bool { return r.TLS != nil && len(r.TLS.VerifiedChains) > 0 },
	})(http.NotFoundHandler())
	_ = handler
}

// Whoever can set a header field can set another: this trusts everybody who says that
// they are to be trusted.
func ExampleMiddleware_incorrect() {
	handler := tracing.Middleware(provider(), tracing.MiddlewareConfig{
		Trust: func(r *http.Request) bool { return strings.HasPrefix(r.Header.Get("X-Forwarded-For"), "10.") },
	})(http.NotFoundHandler())
	_ = handler
}

// A call has a span, and each of its attempts a span inside that.
func ExampleNewTransport() {
	tp := provider()
	attempts := tracing.NewTransport(nil, tp, tracing.TransportConfig{
		Baggage: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Hostname(), ".svc.cluster.local") },
	})
	client := &http.Client{Transport: tracing.NewTransport(retried(attempts), tp, tracing.TransportConfig{Call: true})}
	_ = client
}

// retried stands for retry.NewTransport(base, retrier, retry.TransportConfig{}).
func retried(base http.RoundTripper) http.RoundTripper { return base }

// A request's trace shows how long it waited for its batch, and its share of it.
func ExampleBatchHook() {
	p := &spantest.Provider{}    // for this example; a service has tracingotlp's
	hook := tracing.BatchHook(p) // for batching.Config OnBatch, which calls it for each batch:
	ctx, span := p.Tracer("model").Start(context.Background(), "request")
	batch := tracing.BatchInfo{Size: 1, Sealed: time.Now(), Members: func(yield func(context.Context, time.Time) bool) {
		yield(ctx, time.Now())
	}}
	_, after := hook(context.Background(), batch)
	after(nil)
	span.End()
	for _, span := range p.Ended() {
		fmt.Println(span.Data().Name)
	}
	// Output:
	// request
	// batch
	// batch.queue
	// batch.run
}
