package tracing_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"go.opentelemetry.io/otel/attribute"

	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/ballast-go/ballast/internal/spantest"
	"github.com/ballast-go/ballast/tracing"
)

const (
	traceID     = "0af7651916cd43dd8448eb211c80319c"
	spanID      = "b7ad6b7169203331"
	traceparent = "00-" + traceID + "-" + spanID + "-01"
)

var loopback = tracing.TrustedPeers(netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"))

// keeper is another observer of the same requests.
type keeper struct{ records chan reqstate.Record }

func (k *keeper) Begin(*reqstate.State, http.ResponseWriter, *http.Request) {}
func (k *keeper) Finish(rec *reqstate.Record)                               { k.records <- *rec }

// site serves h behind the middleware, and tells when a request is over.
type site struct {
	*httptest.Server
	p       *spantest.Provider
	records chan reqstate.Record
}

func serve(t *testing.T, p *spantest.Provider, cfg tracing.MiddlewareConfig, h http.Handler) *site {
	t.Helper()
	k := &keeper{make(chan reqstate.Record, 100)}
	inner := tracing.Middleware(p, cfg)(h)
	outer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { _ = recover() }() // the server would log it
		reqstate.Serve(w, r, inner, k)
	})
	s := &site{httptest.NewServer(outer), p, k.records}
	t.Cleanup(s.Close)
	return s
}

// do sends a request, reads the answer to its end and waits for the request's.
func (s *site) do(t *testing.T, method, path string, header ...string) (reqstate.Record, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	var body []byte
	resp, err := s.Client().Do(r)
	if err == nil {
		body, _ = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	return <-s.records, string(body)
}

// only returns the one span that there is, which has ended once.
func only(t *testing.T, p *spantest.Provider) *spantest.Span {
	t.Helper()
	all := p.Spans()
	if len(all) != 1 {
		t.Fatalf("%d spans: %v", len(all), all)
	}
	if n := all[0].Data().Ends; n != 1 {
		t.Fatalf("%v has ended %d times", all[0], n)
	}
	return all[0]
}

// want compares attributes; "" means that there is none.
func want(t *testing.T, s *spantest.Span, kv ...string) {
	t.Helper()
	attrs := s.Data().Attrs
	for i := 0; i < len(kv); i += 2 {
		got := ""
		if v, ok := attrs[attribute.Key(kv[i])]; ok {
			got = v.Emit()
		}
		if got != kv[i+1] {
			t.Errorf("%s is %q, want %q, of %v", kv[i], got, kv[i+1], s)
		}
	}
}
