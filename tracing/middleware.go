package tracing

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/ballast-go/ballast/internal/spans"
)

// MiddlewareConfig configures [Middleware]. The zero value is useful: it believes
// nobody.
type MiddlewareConfig struct {
	// Trust says whose traceparent and baggage are believed: [TrustedPeers], or
	// whoever has authenticated by a client certificate, see the example. It is asked
	// only if there are some, before the request is authenticated by anything
	// further in, and must not read the body. nil means nobody's: then a
	// request is the root of a trace of its own, which links to the other.
	Trust func(*http.Request) bool

	// MaxForced is for how many requests in each second a trusted
	// peer's sampled flag is believed. Beyond it the flag is taken away, and a
	// parent-based sampler does not record the request. 0 means 100, below 0 none.
	MaxForced int

	// BaggageKeys are the baggage members that are let in from trusted peers, at most
	// 64 in a request. nil means none.
	BaggageKeys []string

	// MaxBaggageBytes is how long all of a request's baggage may be; a longer one is
	// dropped as a whole. 0, and more than 8192, mean 8192.
	MaxBaggageBytes int

	// RecordPath records url.path, up to 512 bytes of it, as the semantic
	// conventions want it. It is off because paths hold names, keys and sometimes
	// prompts; the route is always recorded. The query never is.
	RecordPath bool

	// Skip says which requests get no span, such as health probes. nil means none.
	Skip func(*http.Request) bool

	_ struct{}
}

// Middleware gives each request a span, which is in its context and, by its ids, in
// Ballast's logs and metrics, sampled or not. The package comment says what the span
// tells. It panics if tp is nil.
//
// A request has one span: inside another Middleware, this one does nothing. A span of
// this process that is in the request's context already is the parent of the
// request's, whatever its header fields say.
func Middleware(tp trace.TracerProvider, cfg MiddlewareConfig) func(http.Handler) http.Handler {
	if tp == nil {
		panic("tracing: Middleware of a nil TracerProvider")
	}
	m := &middleware{
		cfg:    cfg,
		tracer: tp.Tracer(spans.Scope),
		policy: spans.NewPolicy(spans.Settings{
			MaxForced: cfg.MaxForced, BaggageKeys: cfg.BaggageKeys, MaxBaggageBytes: cfg.MaxBaggageBytes,
		}),
		// Made once: options are an allocation each, also of spans that nobody records.
		options: []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)},
	}
	return func(next http.Handler) http.Handler {
		traced := reqstate.Handler(next, m)
		if cfg.Skip == nil {
			return traced
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if cfg.Skip(r) {
				next.ServeHTTP(w, r)
				return
			}
			traced.ServeHTTP(w, r)
		})
	}
}

// TrustedPeers trusts requests whose connection comes from one of prefixes, as the
// server sees it: what X-Forwarded-For and the like say is the client's choice, as is
// its address on a Unix socket, which is never trusted. No prefix means nobody.
func TrustedPeers(prefixes ...netip.Prefix) func(*http.Request) bool {
	trusted := spans.TrustedAddr(prefixes)
	return func(r *http.Request) bool {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		return trusted(r.RemoteAddr) && !spans.IsUnix(local)
	}
}

// middleware is the observer of all requests.
type middleware struct {
	cfg     MiddlewareConfig
	tracer  trace.Tracer
	policy  *spans.Policy
	options []trace.SpanStartOption
}

// Begin starts the span.
func (m *middleware) Begin(s *reqstate.State, _ http.ResponseWriter, r *http.Request) {
	if _, id, _ := s.IDs(); id != [16]byte{} {
		return // another Middleware's
	}
	ctx := s.Parent()
	local := trace.SpanFromContext(r.Context()) // also a foreign middleware's between s and here
	isLocal := local.SpanContext().IsValid()
	if isLocal {
		ctx = trace.ContextWithSpan(ctx, local)
	}
	remote := spans.Remote{Traceparent: r.Header["Traceparent"], Tracestate: r.Header["Tracestate"], Baggage: r.Header["Baggage"]}
	distrusted := false
	if remote.Sent() && !isLocal {
		if distrusted = m.cfg.Trust == nil || !m.cfg.Trust(r); !distrusted {
			ctx = m.policy.Trusted(ctx, &remote, s.Start())
		}
	}
	method, standard := spans.Method(r.Method)
	name := method
	if !standard {
		name = "HTTP"
	}
	ctx, span := m.tracer.Start(ctx, name, m.options...)
	sc := span.SpanContext()
	s.SetTrace(sc.TraceID(), sc.SpanID(), sc.IsSampled())
	s.SetValues(ctx)
	if !span.IsRecording() {
		return
	}
	if distrusted {
		remote.Link(span)
	}
	span.SetAttributes(m.describe(r, method, standard)...)
	if a := (&active{span, name}); !s.JoinCall(a, func(*reqstate.State) {}) {
		span.End() // the request is over already
	}
}

// Finish has nothing to do: a span that is recorded has an observer of its own.
func (m *middleware) Finish(*reqstate.Record) {}

// describe returns what is known at the start.
func (m *middleware) describe(r *http.Request, method string, standard bool) []attribute.KeyValue {
	attrs := make([]attribute.KeyValue, 0, 8)
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	attrs = append(attrs, attribute.String("http.request.method", method), attribute.String("url.scheme", scheme))
	if !standard {
		attrs = append(attrs, attribute.String("http.request.method_original", spans.Clip(r.Method, spans.MaxMethod)))
	}
	if v := version(r.ProtoMajor, r.ProtoMinor); v != "" {
		attrs = append(attrs, attribute.String("network.protocol.version", v))
	}
	attrs = spans.Peer(attrs, r.RemoteAddr)
	if agent := r.Header["User-Agent"]; len(agent) > 0 {
		attrs = append(attrs, attribute.String("user_agent.original", spans.Clip(agent[0], spans.MaxUserAgent)))
	}
	if m.cfg.RecordPath {
		attrs = append(attrs, attribute.String("url.path", spans.Clip(r.URL.Path, spans.MaxPath)))
	}
	return attrs
}

func version(major, minor int) string {
	switch {
	case major == 1 && minor == 1:
		return "1.1"
	case major == 1:
		return "1.0"
	case major == 2:
		return "2"
	case major == 3:
		return "3"
	}
	return ""
}

// active is the observer of a request whose span is recorded.
type active struct {
	span trace.Span
	name string // without the route
}

// Finish ends the span.
func (a *active) Finish(rec *reqstate.Record) {
	defer a.span.End()
	attrs := make([]attribute.KeyValue, 0, 12)
	if rec.Route != reqstate.Unmatched {
		a.span.SetName(a.name + " " + rec.Route)
		attrs = append(attrs, attribute.String("http.route", rec.Route))
	}
	attrs = append(attrs,
		attribute.Int("http.response.status_code", rec.Status),
		attribute.Int64("http.response.body.size", rec.Bytes))
	if rec.BytesIn > 0 {
		attrs = append(attrs, attribute.Int64("http.request.body.size", rec.BytesIn))
	}
	attrs = spans.Common(attrs, a.span, rec)
	if rec.Status >= 500 && !rec.Protected() {
		kind := strconv.Itoa(rec.Status)
		if rec.Outcome != reqstate.Complete {
			kind = rec.Outcome.String()
		}
		attrs = spans.Fail(a.span, attrs, kind)
	}
	a.span.SetAttributes(attrs...)
}
