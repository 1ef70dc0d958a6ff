package tracing_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/ballast-go/ballast/internal/problem"
	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/ballast-go/ballast/internal/spantest"
	"github.com/ballast-go/ballast/tracing"
)

func TestMiddlewareDescribes(t *testing.T) {
	p := &spantest.Provider{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/models/{name}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "answer")
	})
	s := serve(t, p, tracing.MiddlewareConfig{}, mux)
	resp, err := http.Post(s.URL+"/v1/models/secret?token=secret", "text/plain", strings.NewReader("a secret"))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	rec := <-s.records
	span := only(t, p)
	d := span.Data()
	if d.Name != "POST /v1/models/{name}" || d.Kind != trace.SpanKindServer || d.Status != codes.Unset || d.Parent.IsValid() ||
		d.Scope != "github.com/ballast-go/ballast/tracing" {
		t.Errorf("%+v", d)
	}
	host, port, _ := net.SplitHostPort(rec.Remote)
	want(t, span,
		"http.request.method", "POST", "http.route", "/v1/models/{name}", "http.response.status_code", "200",
		"url.scheme", "http", "network.protocol.version", "1.1", "network.peer.address", host, "network.peer.port", port,
		"user_agent.original", "Go-http-client/1.1", "http.request.body.size", "8", "http.response.body.size", "6",
		"error.type", "", "url.path", "", "ballast.outcome", "", "ballast.reason", "")
	if strings.Contains(span.String(), "secret") {
		t.Errorf("%v", span)
	}
	if rec.TraceID != span.SpanContext().TraceID() || rec.SpanID != span.SpanContext().SpanID() || !rec.Sampled {
		t.Errorf("the record has %x %x %v", rec.TraceID, rec.SpanID, rec.Sampled)
	}
}

func TestMiddlewareBounds(t *testing.T) {
	p := &spantest.Provider{}
	h := tracing.Middleware(p, tracing.MiddlewareConfig{RecordPath: true})(http.NotFoundHandler())
	r := httptest.NewRequest("GET", "/"+strings.Repeat("p", 5000), nil)
	r.Method = strings.Repeat("X\xff", 5000)
	r.Header.Set("User-Agent", strings.Repeat("ü", 1<<20))
	r.RemoteAddr = "@"
	h.ServeHTTP(httptest.NewRecorder(), r)
	span := only(t, p)
	if n := len(span.String()); n > 2000 {
		t.Errorf("%d bytes", n)
	}
	if span.Data().Name != "HTTP" {
		t.Errorf("%q", span.Data().Name)
	}
	want(t, span, "http.request.method", "_OTHER", "user_agent.original", strings.Repeat("ü", 128), "network.peer.address", "",
		"url.path", "/"+strings.Repeat("p", 511), "http.route", "")
	if m := span.Attr("http.request.method_original"); !strings.HasPrefix(m, "X\uFFFDX") || len(m) > 100 {
		t.Errorf("%q", m)
	}
}

type userError struct{ prompt string }

func (e userError) Error() string { return e.prompt }

// Every way in which a request can end.
func TestMiddlewareOutcomes(t *testing.T) {
	for name, tt := range map[string]struct {
		h       http.HandlerFunc
		status  string
		err     string // error.type; "" is no error
		outcome string
		reason  string
		event   string
	}{
		"ok":           {func(http.ResponseWriter, *http.Request) {}, "200", "", "", "", ""},
		"client error": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, "404", "", "", "", ""},
		"limited": {func(w http.ResponseWriter, r *http.Request) {
			problem.Write(w, r, 429, "", "rate", 0)
		}, "429", "", "", "rate", ""},
		"error":       {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "500", "500", "", "", ""},
		"unavailable": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, "503", "503", "", "", ""},
		"shed": {func(w http.ResponseWriter, r *http.Request) {
			problem.Write(w, r, 503, "", "shed", 0)
		}, "503", "", "", "shed", ""},
		"refused": {func(w http.ResponseWriter, r *http.Request) {
			reqstate.FromContext(r.Context()).SetRefused()
			w.WriteHeader(503)
		}, "503", "", "", "refused", ""},
		"no credentials to be checked": {func(w http.ResponseWriter, r *http.Request) {
			problem.Write(w, r, 503, "", "auth-unavailable", 0)
		}, "503", "503", "", "auth-unavailable", ""},
		"shed and panicked": {func(w http.ResponseWriter, r *http.Request) {
			problem.Write(w, r, 503, "", "shed", 0)
			panic("a prompt")
		}, "500", "panic", "panic", "", "exception"},
		"shed and cut": {func(w http.ResponseWriter, r *http.Request) {
			problem.Write(w, r, 503, "", "shed", 0)
			panic(http.ErrAbortHandler)
		}, "500", "upstream-cut", "upstream-cut", "", ""},
		"shed, and served by another": {func(w http.ResponseWriter, r *http.Request) {
			reqstate.FromContext(r.Context()).SetReason("shed")
			w.WriteHeader(200)
		}, "200", "", "", "", ""},
		"early hints": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(201) }, "201", "", "", "", ""},
		"twice":       {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); w.WriteHeader(500) }, "200", "", "", "", ""},
		"panic":       {func(http.ResponseWriter, *http.Request) { panic("a prompt") }, "500", "panic", "panic", "", "exception"},
		"panic with an error": {func(http.ResponseWriter, *http.Request) { panic(userError{"a prompt"}) },
			"500", "panic", "panic", "", "exception"},
		"late panic": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "x")
			w.(http.Flusher).Flush()
			panic("a prompt")
		}, "500", "panic", "panic", "", "exception"},
		"abort": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "500", "aborted", "aborted", "", ""},
		"cut": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "x")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, "500", "upstream-cut", "upstream-cut", "", ""},
		"error event": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "event: error\ndata: a prompt\n\n")
		}, "500", "error-event", "error-event", "", ""},
		"hijack": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				conn.Close()
			}
		}, "101", "", "hijacked", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := &spantest.Provider{}
			s := serve(t, p, tracing.MiddlewareConfig{}, tt.h)
			s.Config.ErrorLog = nil
			s.do(t, "GET", "/")
			span := only(t, p)
			want(t, span, "http.response.status_code", tt.status, "error.type", tt.err, "ballast.outcome", tt.outcome, "ballast.reason", tt.reason)
			d := span.Data()
			if (d.Status == codes.Error) != (tt.err != "") || d.Description != "" {
				t.Errorf("%v", span)
			}
			if tt.event != "" && !slices.ContainsFunc(d.Events, func(e spantest.Event) bool { return e.Name == tt.event }) {
				t.Errorf("no event %s: %v", tt.event, span)
			}
			if strings.Contains(span.String(), "prompt") {
				t.Errorf("%v", span)
			}
		})
	}
}

// The text of the runtime's own panics is safe, and useful.
func TestMiddlewareRuntimePanic(t *testing.T) {
	p := &spantest.Provider{}
	s := serve(t, p, tracing.MiddlewareConfig{}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var none []int
		_ = none[len(r.Method)]
	}))
	s.do(t, "GET", "/")
	e := only(t, p).Data().Events[0]
	if e.Attrs["exception.type"].AsString() != "runtime.boundsError" ||
		e.Attrs["exception.message"].AsString() != "runtime error: index out of range [3] with length 0" {
		t.Errorf("%v", e)
	}
}

func TestMiddlewareClientGone(t *testing.T) {
	p := &spantest.Provider{}
	ctx, cancel := context.WithCancel(t.Context())
	s := serve(t, p, tracing.MiddlewareConfig{}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	r, _ := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
	if _, err := http.DefaultClient.Do(r); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	<-s.records
	span := only(t, p)
	want(t, span, "http.response.status_code", "499", "error.type", "", "ballast.outcome", "client-gone")
	if span.Data().Status != codes.Unset {
		t.Errorf("%v", span)
	}
}

func TestMiddlewareStream(t *testing.T) {
	p := &spantest.Provider{}
	s := serve(t, p, tracing.MiddlewareConfig{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 3 {
			_, _ = io.WriteString(w, "data: x\n\n")
			w.(http.Flusher).Flush()
		}
	}))
	rec, _ := s.do(t, "GET", "/")
	span := only(t, p)
	want(t, span, "ballast.stream.chunks", "3")
	d := span.Data()
	if v := d.Attrs["ballast.stream.time_to_first_byte"].AsFloat64(); v != rec.Stream.TimeToFirstByte.Seconds() || v == 0 {
		t.Errorf("%v", v)
	}
	if v := d.Attrs["ballast.stream.longest_gap"].AsFloat64(); v != rec.Stream.LongestGap.Seconds() || v == 0 {
		t.Errorf("%v", v)
	}
	if len(d.Events) != 1 || d.Events[0].Name != "ballast.first_byte" || !d.Events[0].Time.Equal(rec.Start.Add(rec.Stream.TimeToFirstByte)) {
		t.Errorf("%+v", d.Events)
	}
}

// No client of no standing has its requests recorded, nor names their traces.
func TestMiddlewareForgedContexts(t *testing.T) {
	for name, trust := range map[string]func(*http.Request) bool{
		"nobody is trusted": nil,
		"others are":        tracing.TrustedPeers(),
	} {
		p := &spantest.Provider{Never: true}
		s := serve(t, p, tracing.MiddlewareConfig{Trust: trust, BaggageKeys: []string{"a"}}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id, span, ok := tracing.IDs(r.Context())
			fmt.Fprintf(w, "%x %x %v", id, span, ok)
		}))
		for range 1000 {
			rec, body := s.do(t, "GET", "/", "Traceparent", traceparent, "Tracestate", "a=1", "Baggage", "a=1")
			if rec.Sampled || rec.TraceID == [16]byte{} || fmt.Sprintf("%x", rec.TraceID) == traceID {
				t.Fatalf("%s: %x, sampled: %v", name, rec.TraceID, rec.Sampled)
			}
			if body != fmt.Sprintf("%x %x true", rec.TraceID, rec.SpanID) {
				t.Fatalf("the handler's ids are %s", body)
			}
		}
		if n := len(p.Spans()); n != 0 {
			t.Errorf("%s: %d of 1000 spans were forced", name, n)
		}
	}
}

// What is recorded anyway tells of the client's.
func TestMiddlewareLinksForgedContexts(t *testing.T) {
	p := &spantest.Provider{}
	s := serve(t, p, tracing.MiddlewareConfig{}, http.NotFoundHandler())
	s.do(t, "GET", "/", "Traceparent", traceparent)
	d := only(t, p).Data()
	if d.Parent.IsValid() || len(d.Links) != 1 || d.Links[0].SpanContext.SpanID().String() != spanID {
		t.Errorf("%+v", d)
	}
	for _, bad := range [][]string{
		{"Traceparent", "00-" + traceID}, {"Traceparent", traceparent, "Traceparent", traceparent}, {"Baggage", "a=1"},
	} {
		p := &spantest.Provider{}
		s := serve(t, p, tracing.MiddlewareConfig{}, http.NotFoundHandler())
		s.do(t, "GET", "/", bad...)
		if d := only(t, p).Data(); len(d.Links) != 0 {
			t.Errorf("%q: %+v", bad, d)
		}
	}
}

func TestMiddlewareTrustedContexts(t *testing.T) {
	p := &spantest.Provider{Never: true}
	cfg := tracing.MiddlewareConfig{Trust: loopback, BaggageKeys: []string{"tenant"}, MaxForced: 1 << 20}
	s := serve(t, p, cfg, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, baggageOf(r.Context()))
	}))
	_, body := s.do(t, "GET", "/", "Traceparent", traceparent, "Tracestate", "a=1", "Baggage", "tenant=x,other=y")
	d := only(t, p).Data()
	if d.Parent.TraceID().String() != traceID || d.Parent.SpanID().String() != spanID || !d.Parent.IsRemote() ||
		d.Parent.TraceState().String() != "a=1" || len(d.Links) != 0 {
		t.Errorf("%+v", d)
	}
	if body != "tenant=x" {
		t.Errorf("the baggage is %q", body)
	}
	rec, _ := s.do(t, "GET", "/", "Traceparent", strings.TrimSuffix(traceparent, "1")+"0")
	if len(p.Spans()) != 1 || rec.Sampled || fmt.Sprintf("%x", rec.TraceID) != traceID {
		t.Errorf("%v, %x", p.Spans(), rec.TraceID)
	}
}

// Also of a trusted peer only so many requests in a second are recorded at its word.
func TestMiddlewareForcedCap(t *testing.T) {
	p := &spantest.Provider{Never: true}
	s := serve(t, p, tracing.MiddlewareConfig{Trust: loopback, MaxForced: 3}, http.NotFoundHandler())
	first := time.Now().Unix()
	for range 50 {
		if rec, _ := s.do(t, "GET", "/", "Traceparent", traceparent); fmt.Sprintf("%x", rec.TraceID) != traceID {
			t.Errorf("the trace is %x", rec.TraceID)
		}
	}
	seconds := int(time.Now().Unix() - first + 1)
	if n := len(p.Spans()); n < 3 || n > 3*seconds {
		t.Errorf("%d are recorded in %d seconds", n, seconds)
	}
}

// A request has one span, and that is in its context without a copy of it.
func TestMiddlewareOnce(t *testing.T) {
	p := &spantest.Provider{}
	var inner *http.Request
	h := http.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { inner = r }))
	h = tracing.Middleware(p, tracing.MiddlewareConfig{})(h)
	h = tracing.Middleware(p, tracing.MiddlewareConfig{})(h)
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if got := trace.SpanContextFromContext(inner.Context()); !got.Equal(only(t, p).SpanContext()) {
		t.Errorf("%v", got)
	}
	if _, ok := inner.Context().(*reqstate.State); !ok {
		t.Errorf("the context is a %T", inner.Context())
	}
}

func TestMiddlewareLocalParent(t *testing.T) {
	p := &spantest.Provider{}
	ctx, outer := p.Tracer("").Start(t.Context(), "outer")
	h := tracing.Middleware(p, tracing.MiddlewareConfig{Trust: func(*http.Request) bool { return true }})(http.NotFoundHandler())
	r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
	r.Header.Set("Traceparent", traceparent)
	h.ServeHTTP(httptest.NewRecorder(), r)
	if d := p.Spans()[1].Data(); !d.Parent.Equal(outer.SpanContext()) || len(d.Links) != 0 {
		t.Errorf("%+v", d)
	}
}

func TestMiddlewareSkip(t *testing.T) {
	p := &spantest.Provider{}
	s := serve(t, p, tracing.MiddlewareConfig{Skip: func(r *http.Request) bool { return r.URL.Path == "/health" }}, http.NotFoundHandler())
	if rec, _ := s.do(t, "GET", "/health"); len(p.Spans()) != 0 || rec.TraceID != [16]byte{} || rec.Status != 404 {
		t.Errorf("%v, %+v", p.Spans(), rec)
	}
}

func TestMiddlewareTimeoutHandler(t *testing.T) {
	p := &spantest.Provider{}
	release, late := make(chan struct{}), make(chan struct{})
	h := tracing.Middleware(p, tracing.MiddlewareConfig{})(http.TimeoutHandler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		defer close(late)
		<-release
		trace.SpanFromContext(r.Context()).SetName("late") // it has ended by then
	}), time.Millisecond, ""))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	close(release)
	<-late
	span := only(t, p)
	want(t, span, "http.response.status_code", "503", "error.type", "503")
	if span.Data().Name == "late" {
		t.Error("it was changed")
	}
}

func TestMiddlewareHTTP2(t *testing.T) {
	p := &spantest.Provider{}
	s := httptest.NewUnstartedServer(tracing.Middleware(p, tracing.MiddlewareConfig{})(http.NotFoundHandler()))
	s.EnableHTTP2 = true
	s.StartTLS()
	resp, err := s.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	s.Close()
	want(t, only(t, p), "url.scheme", "https", "network.protocol.version", "2", "http.response.status_code", "404")
}

// A provider that makes no ids leaves the request alone.
func TestMiddlewareNoop(t *testing.T) {
	var ok bool
	h := tracing.Middleware(noop.NewTracerProvider(), tracing.MiddlewareConfig{})(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _, ok = tracing.IDs(r.Context())
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if ok {
		t.Error("there are ids")
	}
}

func TestNilProviders(t *testing.T) {
	for name, f := range map[string]func(){
		"Middleware":   func() { tracing.Middleware(nil, tracing.MiddlewareConfig{}) },
		"NewTransport": func() { tracing.NewTransport(nil, nil, tracing.TransportConfig{}) },
		"BatchHook":    func() { tracing.BatchHook(nil) },
	} {
		func() {
			defer func() {
				if v := recover(); v != "tracing: "+name+" of a nil TracerProvider" {
					t.Errorf("%v", v)
				}
			}()
			f()
		}()
	}
}

func TestMiddlewareAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	w := &discard{h: http.Header{}}
	inner := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	measure := func(h http.Handler, r *http.Request) float64 {
		return testing.AllocsPerRun(200, func() { h.ServeHTTP(w, r) })
	}
	plain := httptest.NewRequest("GET", "/", nil)
	forged := httptest.NewRequest("GET", "/", nil)
	forged.Header.Set("Traceparent", traceparent)
	forged.Header.Set("Baggage", "a=1")
	silent := new(silent)
	bare := measure(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reqstate.Serve(w, r, inner, silent)
	}), plain)
	h := tracing.Middleware(&spantest.Provider{Never: true}, tracing.MiddlewareConfig{})(inner)
	// The provider's own two: the span and its context.
	if n := measure(h, plain) - bare; n > 2 {
		t.Errorf("%v allocations", n)
	}
	if n := measure(h, forged) - bare; n > 2 {
		t.Errorf("%v allocations for a forged context", n)
	}
}

type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

type silent struct{ _ byte }

func (*silent) Begin(*reqstate.State, http.ResponseWriter, *http.Request) {}
func (*silent) Finish(*reqstate.Record)                                   {}
