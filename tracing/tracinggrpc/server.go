package tracinggrpc

import (
	"context"
	"net"
	"net/http"
	"net/netip"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/ballast-go/ballast/internal/rpcstate"
	"github.com/ballast-go/ballast/internal/spans"
)

// ServerConfig configures the server's interceptors. The zero value is useful: it
// believes nobody.
type ServerConfig struct {
	// Trust says whose traceparent and baggage are believed: [TrustedPeers], or
	// whoever has authenticated by a client certificate. It is asked only if there
	// are some. nil means nobody's: then a call is the root of a trace of its own,
	// which links to the other.
	Trust func(ctx context.Context) bool

	// MaxForced is for how many calls in each second a trusted peer's
	// sampled flag is believed, by each interceptor. Beyond it the flag is taken
	// away. 0 means 100, below 0 none.
	MaxForced int

	// BaggageKeys are the baggage members that are let in from trusted peers, at
	// most 64 in a call. nil means none.
	BaggageKeys []string

	// MaxBaggageBytes is how long all of a call's baggage may be; a longer one is
	// dropped as a whole. 0, and more than 8192, mean 8192.
	MaxBaggageBytes int

	// Skip says which methods, like "/package.Service/Method", get no span. nil
	// means none.
	Skip func(fullMethod string) bool

	_ struct{}
}

// UnaryServerInterceptor gives each call a span. It panics if tp is nil. Streams need
// [StreamServerInterceptor].
func UnaryServerInterceptor(tp trace.TracerProvider, cfg ServerConfig) grpc.UnaryServerInterceptor {
	s := newServer("UnaryServerInterceptor", tp, cfg)
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if cfg.Skip != nil && cfg.Skip(info.FullMethod) {
			return handler(ctx, req)
		}
		return rpcstate.Unary(ctx, req, info.FullMethod, handler, s)
	}
}

// StreamServerInterceptor is [UnaryServerInterceptor] for streams. A span lasts for as
// long as the handler runs.
func StreamServerInterceptor(tp trace.TracerProvider, cfg ServerConfig) grpc.StreamServerInterceptor {
	s := newServer("StreamServerInterceptor", tp, cfg)
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if cfg.Skip != nil && cfg.Skip(info.FullMethod) {
			return handler(srv, stream)
		}
		return rpcstate.Stream(srv, stream, info.FullMethod, handler, s)
	}
}

// TrustedPeers trusts calls whose connection comes from one of prefixes. A Unix
// socket, where clients choose their address, is never trusted. No prefix means nobody.
func TrustedPeers(prefixes ...netip.Prefix) func(context.Context) bool {
	trusted := spans.TrustedAddr(prefixes)
	return func(ctx context.Context) bool {
		p, ok := peer.FromContext(ctx)
		if !ok || p.Addr == nil || spans.IsUnix(p.Addr) {
			return false
		}
		local, _ := ctx.Value(http.LocalAddrContextKey).(net.Addr) // grpc.Server.ServeHTTP's
		return trusted(p.Addr.String()) && !spans.IsUnix(local)
	}
}

// server is the observer of all calls.
type server struct {
	cfg     ServerConfig
	tracer  trace.Tracer
	policy  *spans.Policy
	options []trace.SpanStartOption
}

func newServer(of string, tp trace.TracerProvider, cfg ServerConfig) *server {
	if tp == nil {
		panic("tracinggrpc: " + of + " of a nil TracerProvider")
	}
	return &server{
		cfg:    cfg,
		tracer: tp.Tracer(spans.Scope),
		policy: spans.NewPolicy(spans.Settings{
			MaxForced: cfg.MaxForced, BaggageKeys: cfg.BaggageKeys, MaxBaggageBytes: cfg.MaxBaggageBytes,
		}),
		options: []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)},
	}
}

// BeginCall starts the span.
func (s *server) BeginCall(state *reqstate.State) {
	if _, id, _ := state.IDs(); id != [16]byte{} {
		return // another interceptor's
	}
	ctx := state.Parent()
	remote := spans.Remote{
		Traceparent: metadata.ValueFromIncomingContext(ctx, "traceparent"),
		Baggage:     metadata.ValueFromIncomingContext(ctx, "baggage"),
	}
	distrusted := false
	if remote.Sent() && !trace.SpanContextFromContext(ctx).IsValid() {
		if distrusted = s.cfg.Trust == nil || !s.cfg.Trust(ctx); !distrusted {
			remote.Tracestate = metadata.ValueFromIncomingContext(ctx, "tracestate")
			ctx = s.policy.Trusted(ctx, &remote, state.Start())
		}
	}
	method := state.FullMethod()
	ctx, span := s.tracer.Start(ctx, name(method), s.options...)
	sc := span.SpanContext()
	state.SetTrace(sc.TraceID(), sc.SpanID(), sc.IsSampled())
	state.SetValues(ctx)
	if !span.IsRecording() {
		return
	}
	if distrusted {
		remote.Link(span)
	}
	rec := state.Record()
	attrs := spans.Peer(describe(method), rec.Remote)
	if rec.UserAgent != "" {
		attrs = append(attrs, attribute.String("user_agent.original", spans.Clip(rec.UserAgent, spans.MaxUserAgent)))
	}
	span.SetAttributes(attrs...)
	if a := (&active{span}); !state.JoinCall(a, func(*reqstate.State) {}) {
		span.End() // the call is over already
	}
}

// Finish has nothing to do: a span that is recorded has an observer of its own.
func (s *server) Finish(*reqstate.Record) {}

// active is the observer of a call whose span is recorded.
type active struct{ span trace.Span }

// Finish ends the span.
func (a *active) Finish(rec *reqstate.Record) {
	defer a.span.End()
	attrs := make([]attribute.KeyValue, 0, 10)
	attrs = append(attrs, attribute.Int64("rpc.grpc.status_code", int64(rec.Code)))
	if rec.MessagesIn > 0 {
		attrs = append(attrs, attribute.Int64("ballast.stream.messages_received", rec.MessagesIn))
	}
	attrs = spans.Common(attrs, a.span, rec)
	if isServerError(codes.Code(rec.Code)) && !rec.Protected() {
		kind := codes.Code(rec.Code).String()
		if rec.Outcome == reqstate.Panicked || rec.Outcome == reqstate.Aborted {
			kind = rec.Outcome.String()
		}
		attrs = spans.Fail(a.span, attrs, kind)
	}
	a.span.SetAttributes(attrs...)
}

// isServerError follows the semantic conventions for gRPC servers.
func isServerError(code codes.Code) bool {
	switch code {
	case codes.Unknown, codes.DeadlineExceeded, codes.Unimplemented, codes.Internal, codes.Unavailable, codes.DataLoss:
		return true
	}
	return code > codes.Unauthenticated // there is no such code
}
