package tracing_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/ballast-go/ballast/internal/spantest"
	"github.com/ballast-go/ballast/tracing"
)

// A client chooses the path that its end of a Unix socket is bound to, and with it
// what the server has for RemoteAddr.
func TestTrustedPeersOnUnixSockets(t *testing.T) {
	t.Chdir(t.TempDir())
	l, err := net.Listen("unix", "server.sock")
	if err != nil {
		t.Skip("no Unix sockets: ", err)
	}
	p, remote := &spantest.Provider{}, ""
	s := httptest.NewUnstartedServer(tracing.Middleware(p, tracing.MiddlewareConfig{Trust: loopback})(
		http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { remote = r.RemoteAddr })))
	s.Listener.Close()
	s.Listener = l
	s.Start()
	defer s.Close()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			d := net.Dialer{LocalAddr: &net.UnixAddr{Net: "unix", Name: "127.0.0.1:1"}}
			return d.DialContext(ctx, "unix", "server.sock")
		},
	}}
	r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://server/", nil)
	r.Header.Set("Traceparent", traceparent)
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	s.Close()
	if remote != "127.0.0.1:1" {
		t.Fatalf("the client was %q", remote)
	}
	if d := only(t, p).Data(); d.Parent.IsValid() || len(d.Links) != 1 {
		t.Errorf("a client on a Unix socket was believed: %+v", d)
	}
}

// With logging outermost, a foreign middleware's span may be between the request's
// State and this middleware.
func TestMiddlewareForeignParent(t *testing.T) {
	p := &spantest.Provider{}
	var foreign trace.Span
	h := tracing.Middleware(p, tracing.MiddlewareConfig{Trust: func(*http.Request) bool { return true }})(http.NotFoundHandler())
	between := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, span := p.Tracer("").Start(r.Context(), "foreign")
		defer span.End()
		foreign = span
		h.ServeHTTP(w, r.WithContext(ctx))
	})
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Traceparent", traceparent)
	reqstate.Serve(httptest.NewRecorder(), r, between, new(silent))
	if d := p.Spans()[1].Data(); !d.Parent.Equal(foreign.SpanContext()) || d.Ends != 1 {
		t.Errorf("%+v", d)
	}
}
