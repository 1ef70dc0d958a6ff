package tracinggrpc

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/internal/rpcstate"
	"github.com/ballast-go/ballast/internal/spans"
)

// ClientConfig configures the client's side. The zero value is useful.
type ClientConfig struct {
	// Baggage says which methods, like "/package.Service/Method", take their
	// context's baggage along. nil means none: it may hold what is nobody else's
	// business. The interceptors do not ask.
	Baggage func(fullMethod string) bool

	// Skip says which methods get no span, and whose server is told of none. nil
	// means none.
	Skip func(fullMethod string) bool

	_ struct{}
}

// NewClientHandler returns a handler, for grpc.WithStatsHandler, that gives each
// attempt of a call a span, a child of the one in its context, and tells the server of
// it. The metadata traceparent, tracestate and baggage are the handler's alone: what a
// call has of them is replaced or, in a proxy it would be its client's, taken away.
//
// The span has the numbers and sizes of messages, and is an error for all codes but
// OK, Canceled and ResourceExhausted. Errors' texts are not recorded. It panics if
// tp is nil.
func NewClientHandler(tp trace.TracerProvider, cfg ClientConfig) stats.Handler {
	return &handler{newClient("NewClientHandler", tp, cfg, trace.SpanKindClient)}
}

// client is what all of the client's side is made of.
type client struct {
	cfg     ClientConfig
	tracer  trace.Tracer
	options []trace.SpanStartOption
}

func newClient(of string, tp trace.TracerProvider, cfg ClientConfig, kind trace.SpanKind) *client {
	if tp == nil {
		panic("tracinggrpc: " + of + " of a nil TracerProvider")
	}
	return &client{cfg, tp.Tracer(spans.Scope), []trace.SpanStartOption{trace.WithSpanKind(kind)}}
}

func (c *client) skips(fullMethod string) bool { return c.cfg.Skip != nil && c.cfg.Skip(fullMethod) }

type handler struct{ *client }

// An attempt is one whose span is recorded.
type attempt struct {
	span                    trace.Span
	sent, sentBytes         atomic.Int64
	received, receivedBytes atomic.Int64
}

type attemptKey struct{}

// TagRPC starts the span.
func (h *handler) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	method := info.FullMethodName
	if ctx.Value(attemptKey{}) != nil { // another call's, whose stream's context this is made of
		ctx = context.WithValue(ctx, attemptKey{}, (*attempt)(nil))
	}
	if h.skips(method) {
		return h.inject(ctx, method, trace.SpanContext{})
	}
	ctx, span := h.tracer.Start(ctx, name(method), h.options...)
	if span.IsRecording() {
		span.SetAttributes(describe(method)...)
		ctx = context.WithValue(ctx, attemptKey{}, &attempt{span: span})
	}
	return h.inject(ctx, method, span.SpanContext())
}

// inject puts what is sent of a context into the metadata.
func (h *handler) inject(ctx context.Context, method string, sc trace.SpanContext) context.Context {
	md, ok := metadata.FromOutgoingContext(ctx) // a copy
	if !ok {
		md = make(metadata.MD, 2)
	}
	before := len(md)
	delete(md, "traceparent")
	delete(md, "tracestate")
	delete(md, "baggage")
	changed := len(md) != before
	if sc.IsValid() {
		changed = true
		md["traceparent"] = []string{spans.Format(sc)}
		if state := sc.TraceState(); state.Len() > 0 {
			md["tracestate"] = []string{state.String()}
		}
	}
	if h.cfg.Baggage != nil {
		if b := baggage.FromContext(ctx); b.Len() > 0 && h.cfg.Baggage(method) {
			changed = true
			md["baggage"] = []string{b.String()}
		}
	}
	if !changed {
		return ctx
	}
	return metadata.NewOutgoingContext(ctx, md)
}

// HandleRPC notes what becomes of an attempt.
func (h *handler) HandleRPC(ctx context.Context, s stats.RPCStats) {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	if a == nil {
		return
	}
	switch s := s.(type) {
	case *stats.Begin:
		if s.IsTransparentRetryAttempt {
			a.span.SetAttributes(attribute.Bool("ballast.transparent_retry", true))
		}
	case *stats.OutHeader:
		if s.RemoteAddr != nil {
			a.span.SetAttributes(spans.Peer(nil, s.RemoteAddr.String())...)
		}
	case *stats.OutPayload:
		a.sent.Add(1)
		a.sentBytes.Add(int64(s.Length))
	case *stats.InPayload:
		if a.received.Add(1) == 1 {
			a.span.AddEvent("ballast.first_message", trace.WithTimestamp(s.RecvTime))
		}
		a.receivedBytes.Add(int64(s.Length))
	case *stats.End:
		end(a.span, s.Error,
			attribute.Int64("ballast.rpc.messages_sent", a.sent.Load()),
			attribute.Int64("ballast.rpc.bytes_sent", a.sentBytes.Load()),
			attribute.Int64("ballast.rpc.messages_received", a.received.Load()),
			attribute.Int64("ballast.rpc.bytes_received", a.receivedBytes.Load()))
	}
}

// TagConn implements stats.Handler.
func (h *handler) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (h *handler) HandleConn(context.Context, stats.ConnStats) {}

// end ends a client's span by the error of its call.
func end(span trace.Span, err error, attrs ...attribute.KeyValue) {
	defer span.End()
	code := codes.OK
	if err != nil && !errors.Is(err, io.EOF) {
		code = codeOf(err)
	}
	attrs = append(attrs, attribute.Int64("rpc.grpc.status_code", int64(code)))
	switch code {
	case codes.OK, codes.ResourceExhausted:
	case codes.Canceled:
		attrs = append(attrs, attribute.String("ballast.outcome", "canceled"))
	default:
		attrs = spans.Fail(span, attrs, code.String())
	}
	span.SetAttributes(attrs...)
}

// codeOf is an error's code also where an interceptor has returned a context's own.
func codeOf(err error) codes.Code {
	if st, ok := status.FromError(err); ok {
		return st.Code()
	}
	return status.FromContextError(err).Code()
}

// UnaryClientInterceptor gives each call a span that its attempts are children of; see
// the package comment. It panics if tp is nil.
func UnaryClientInterceptor(tp trace.TracerProvider, cfg ClientConfig) grpc.UnaryClientInterceptor {
	c := newClient("UnaryClientInterceptor", tp, cfg, trace.SpanKindInternal)
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if c.skips(method) {
			return invoker(ctx, method, req, reply, cc, opts...)
		}
		ctx, span := c.tracer.Start(ctx, "call "+name(method), c.options...)
		if !span.IsRecording() {
			return invoker(ctx, method, req, reply, cc, opts...)
		}
		span.SetAttributes(describe(method)...)
		err := errLeft
		defer func() { end(span, err) }()
		err = invoker(ctx, method, req, reply, cc, opts...)
		return err
	}
}

// errLeft is how a call ended that a panic, or runtime.Goexit, has left.
var errLeft = status.Error(codes.Internal, "tracinggrpc: left by a panic")

// StreamClientInterceptor is [UnaryClientInterceptor] for streams. A span lasts until
// RecvMsg has returned an error, io.EOF among them, or the one message of a method that
// answers with one, or the context has ended. A stream that is dropped without any of
// these is never recorded.
func StreamClientInterceptor(tp trace.TracerProvider, cfg ClientConfig) grpc.StreamClientInterceptor {
	c := newClient("StreamClientInterceptor", tp, cfg, trace.SpanKindInternal)
	return func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		if c.skips(method) {
			return streamer(ctx, desc, cc, method, opts...)
		}
		ctx, span := c.tracer.Start(ctx, "call "+name(method), c.options...)
		if !span.IsRecording() {
			return streamer(ctx, desc, cc, method, opts...)
		}
		span.SetAttributes(describe(method)...)
		err := errLeft
		defer func() {
			if err != nil {
				end(span, err)
			}
		}()
		stream, err := streamer(ctx, desc, cc, method, opts...)
		if err != nil {
			return nil, err
		}
		return rpcstate.Watch(ctx, stream, desc, func(err error, sent, received int64) {
			end(span, err,
				attribute.Int64("ballast.rpc.messages_sent", sent),
				attribute.Int64("ballast.rpc.messages_received", received))
		}), nil
	}
}
