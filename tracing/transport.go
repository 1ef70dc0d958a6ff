package tracing

import (
	"context"
	"net/http"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"

	"github.com/ballast-go/ballast/internal/spans"
)

// TransportConfig configures [NewTransport]. The zero value is useful.
type TransportConfig struct {
	// Call makes spans of whole calls, for the outside of a chain that retries:
	// of the kind "internal", named "call METHOD", and sent to nobody. Inside,
	// next to the base, another NewTransport without Call gives each attempt its own.
	Call bool

	// EndAtHeader ends the span when the answer's header is there. By default it
	// lasts until the body has been read, has failed or is closed.
	EndAtHeader bool

	// Baggage says which requests take their context's baggage along. nil means
	// none: it may hold what is nobody else's business.
	Baggage func(*http.Request) bool

	// RecordPath records url.full, up to 512 bytes of it, without user, query and
	// fragment. It is off because paths hold names and keys.
	RecordPath bool

	_ struct{}
}

// NewTransport returns a base that gives each request a span, a child of the one in
// its context, and tells the server of it (traceparent, tracestate). These header
// fields and baggage are the transport's alone: what a request has of them is
// replaced or, in a proxy it would be its client's, taken away.
//
// The span is an error for statuses from 400 but 429, and for an error instead of an
// answer or of the rest of it, unless the caller canceled. Of errors only the kind is
// recorded. With 101 Switching Protocols it ends at the header, and the Body is what
// base returned. As ever with http.RoundTripper, whoever gets a body must close it: else its
// span never ends.
//
// A nil base is http.DefaultTransport. It panics if tp is nil.
func NewTransport(base http.RoundTripper, tp trace.TracerProvider, cfg TransportConfig) http.RoundTripper {
	if tp == nil {
		panic("tracing: NewTransport of a nil TracerProvider")
	}
	if base == nil {
		base = http.DefaultTransport
	}
	kind := trace.SpanKindClient
	if cfg.Call {
		kind = trace.SpanKindInternal
	}
	return &transport{base, cfg, tp.Tracer(spans.Scope), []trace.SpanStartOption{trace.WithSpanKind(kind)}}
}

type transport struct {
	base    http.RoundTripper
	cfg     TransportConfig
	tracer  trace.Tracer
	options []trace.SpanStartOption
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	method, standard := spans.Method(r.Method)
	name := method
	if !standard {
		name = "HTTP"
	}
	if t.cfg.Call {
		name = "call " + name
	}
	ctx, span := t.tracer.Start(r.Context(), name, t.options...)
	out := r.WithContext(ctx)
	if !t.cfg.Call {
		out.Header = t.inject(r, ctx, span.SpanContext())
	}
	if !span.IsRecording() {
		resp, err := t.base.RoundTrip(out)
		restore(resp, out, r)
		return resp, err
	}
	span.SetAttributes(t.describe(r, method, standard)...)
	e := &exchange{ctx: ctx, span: span}
	returned := false
	defer func() {
		if !returned { // a panic or runtime.Goexit of base
			e.end(-1, "panic")
		}
	}()
	resp, err := t.base.RoundTrip(out)
	returned = true
	t.answered(e, r, resp, err)
	restore(resp, out, r)
	return resp, err
}

// answered notes the header, and follows the body if there is one.
func (t *transport) answered(e *exchange, r *http.Request, resp *http.Response, err error) {
	if err != nil || resp == nil {
		e.fail(err)
		return
	}
	e.status(resp.StatusCode)
	if t.cfg.EndAtHeader || isAllThere(r, resp) {
		e.end(-1, "")
		return
	}
	e.body, resp.Body = resp.Body, e
}

// restore gives the answer the caller's request back.
func restore(resp *http.Response, out, r *http.Request) {
	if resp != nil && resp.Request == out {
		resp.Request = r
	}
}

// CloseIdleConnections is for http.Client's.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// inject returns r's header with the fields of the context that is sent.
func (t *transport) inject(r *http.Request, ctx context.Context, sc trace.SpanContext) http.Header {
	h := r.Header.Clone()
	if h == nil {
		h = make(http.Header, 2)
	}
	delete(h, "Traceparent")
	delete(h, "Tracestate")
	delete(h, "Baggage")
	if sc.IsValid() {
		h["Traceparent"] = []string{spans.Format(sc)}
		if state := sc.TraceState(); state.Len() > 0 {
			h["Tracestate"] = []string{state.String()}
		}
	}
	if t.cfg.Baggage != nil {
		if b := baggage.FromContext(ctx); b.Len() > 0 && t.cfg.Baggage(r) {
			h["Baggage"] = []string{b.String()}
		}
	}
	return h
}

// describe returns what is known of a request.
func (t *transport) describe(r *http.Request, method string, standard bool) []attribute.KeyValue {
	attrs := make([]attribute.KeyValue, 0, 8)
	attrs = append(attrs, attribute.String("http.request.method", method))
	if !standard {
		attrs = append(attrs, attribute.String("http.request.method_original", spans.Clip(r.Method, spans.MaxMethod)))
	}
	if r.URL != nil {
		attrs = append(attrs,
			attribute.String("url.scheme", spans.Clip(r.URL.Scheme, spans.MaxMethod)),
			attribute.String("server.address", spans.Clip(r.URL.Hostname(), spans.MaxPath)))
		if port := port(r); port > 0 {
			attrs = append(attrs, attribute.Int("server.port", port))
		}
		if t.cfg.RecordPath {
			full := r.URL.Scheme + "://" + r.URL.Host + r.URL.EscapedPath()
			attrs = append(attrs, attribute.String("url.full", spans.Clip(full, spans.MaxPath)))
		}
	}
	if n := resends(r); n > 0 {
		attrs = append(attrs, attribute.Int("http.request.resend_count", n))
	}
	return attrs
}

func port(r *http.Request) int {
	if n, err := strconv.ParseUint(r.URL.Port(), 10, 16); err == nil {
		return int(n)
	}
	switch r.URL.Scheme {
	case "http":
		return 80
	case "https":
		return 443
	}
	return 0
}

// attemptHeader is where package retry says which attempt of its call a request is.
const attemptHeader = "X-Envoy-Attempt-Count"

// maxResends bounds what is counted of redirects, as http.Client does by default.
const maxResends = 10

// resends returns how often a request like r was sent before: by retries, and by
// http.Client to follow redirects.
func resends(r *http.Request) int {
	n := 0
	for prior := r.Response; prior != nil && prior.Request != nil && n < maxResends; prior = prior.Request.Response {
		n++
	}
	if v := r.Header[attemptHeader]; len(v) == 1 {
		if attempt, err := strconv.ParseUint(v[0], 10, 16); err == nil && attempt > 1 {
			n += int(attempt) - 1
		}
	}
	return n
}
