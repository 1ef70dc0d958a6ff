package tracingotlp_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/ballast-go/ballast/batching"
	"github.com/ballast-go/ballast/tracing"
	"github.com/ballast-go/ballast/tracing/tracingotlp"
)

// members is how many requests serve puts into one batch.
const members = 3

// serve sends members requests, at once, through all that package tracing has: a
// client's transport, a server that trusts it, and a batcher.
func serve(t *testing.T, p *tracingotlp.Provider) {
	t.Helper()
	tp := p.TracerProvider()
	double := func(_ context.Context, in []int, out []batching.Slot[int]) error {
		for i, n := range in {
			out[i].Set(2 * n)
		}
		return nil
	}
	b, err := batching.New(double, batching.Config[int]{Name: "double", MaxBatchSize: members, Linger: time.Hour, OnBatch: tracing.BatchHook(tp)})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /double/{n}", func(w http.ResponseWriter, r *http.Request) {
		_, span := tp.Tracer("test").Start(r.Context(), "preprocess")
		span.End()
		var n int
		fmt.Sscan(r.PathValue("n"), &n)
		twice, err := b.Do(r.Context(), n)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, twice)
	})
	loopback := tracing.TrustedPeers(netip.MustParsePrefix("127.0.0.0/8"))
	server := httptest.NewServer(tracing.Middleware(tp, tracing.MiddlewareConfig{Trust: loopback})(mux))
	defer server.Close()
	client := &http.Client{Transport: tracing.NewTransport(server.Client().Transport, tp, tracing.TransportConfig{})}
	var all sync.WaitGroup
	for n := range members {
		all.Go(func() {
			r, err := client.Post(fmt.Sprintf("%s/double/%d", server.URL, n), "text/plain", nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Body.Close()
			if body, err := io.ReadAll(r.Body); err != nil || string(body) != fmt.Sprint(2*n) {
				t.Errorf("%d: %q, %v", n, body, err)
			}
		})
	}
	all.Wait()
	server.Close() // the servers' spans have ended
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// A request's trace shows its way: the client, the server, its wait in the queue,
// and its batch, which links to all that were in it.
func TestChain(t *testing.T) {
	c, _ := listen(t, tracingotlp.GRPC, false, "127.0.0.1:0")
	p, log := provider(t, tracingotlp.Config{Endpoint: c.endpoint, Protocol: tracingotlp.GRPC})
	serve(t, p)
	closed(t, p)
	if log.String() != "" {
		t.Error(log)
	}
	servers := make(map[string]*tracepb.Span) // by span id
	var batch *tracepb.Span
	names := make(map[string]int)
	for _, s := range c.spans {
		names[s.Name]++
		switch s.Name {
		case "POST /double/{n}":
			servers[string(s.SpanId)] = s
			if parent := c.spans[string(s.ParentSpanId)]; parent.GetName() != "POST" {
				t.Errorf("the parent of a server's span is %v", parent)
			}
		case "batch":
			batch = s
		}
	}
	want := map[string]int{"POST": members, "POST /double/{n}": members, "preprocess": members, "batch.queue": members, "batch.run": members, "batch": 1}
	if fmt.Sprint(names) != fmt.Sprint(want) {
		t.Fatalf("spans: %v, want %v", names, want)
	}
	linked := make(map[string]bool)
	for _, l := range batch.Links {
		if servers[string(l.SpanId)] == nil {
			t.Errorf("the batch links to %x, which is no server's span", l.SpanId)
		}
		linked[string(l.SpanId)] = true
	}
	if len(linked) != members {
		t.Errorf("the batch links to %d spans, want %d", len(linked), members)
	}
}

// What nobody samples has ids all the same, and costs a Start and no span.
func TestChainUnsampled(t *testing.T) {
	c, _ := listen(t, tracingotlp.HTTP, false, "127.0.0.1:0")
	p, _ := provider(t, tracingotlp.Config{Endpoint: c.endpoint, Ratio: -1})
	serve(t, p)
	h := tracing.Middleware(p.TracerProvider(), tracing.MiddlewareConfig{})(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if id, span, ok := tracing.IDs(r.Context()); !ok || !trace.TraceID(id).IsValid() || !trace.SpanID(span).IsValid() {
			t.Errorf("ids: %x %x %v", id, span, ok)
		}
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	closed(t, p)
	check(t, p, tracingotlp.Stats{})
}

// Whom the server does not trust it cannot make record.
func TestForcedSample(t *testing.T) {
	c, _ := listen(t, tracingotlp.HTTP, false, "127.0.0.1:0")
	p, _ := provider(t, tracingotlp.Config{Endpoint: c.endpoint, Ratio: -1})
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	for trusted := range 2 {
		cfg := tracing.MiddlewareConfig{Trust: func(*http.Request) bool { return trusted == 1 }}
		tracing.Middleware(p.TracerProvider(), cfg)(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
		if s := p.Stats(); s.Started != uint64(trusted) {
			t.Errorf("trusted %d: %+v", trusted, s)
		}
	}
}
