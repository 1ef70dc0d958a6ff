package stackbench

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/auth/authgrpc"
	"github.com/ballast-go/ballast/batching"
	"github.com/ballast-go/ballast/batching/batchinggrpc"
	"github.com/ballast-go/ballast/breaker/breakergrpc"
	"github.com/ballast-go/ballast/logging/logginggrpc"
	"github.com/ballast-go/ballast/metrics/metricsgrpc"
	"github.com/ballast-go/ballast/ratelimit/concurrency/concurrencygrpc"
	"github.com/ballast-go/ballast/ratelimit/ratelimitgrpc"
	"github.com/ballast-go/ballast/tracing/tracinggrpc"
)

const predict = "/models.Models/Predict"

// unaries and streams are the layers in the order of layerNames.
func (p *parts) unaries() []grpc.UnaryServerInterceptor {
	return []grpc.UnaryServerInterceptor{
		logginggrpc.RecoverUnary(p.log),
		tracinggrpc.UnaryServerInterceptor(p.spans, tracinggrpc.ServerConfig{}),
		logginggrpc.UnaryServerInterceptor(p.log, logginggrpc.ServerConfig{}),
		metricsgrpc.UnaryServerInterceptor(p.metrics, metricsgrpc.ServerConfig{}),
		authgrpc.UnaryServerInterceptor(p.auth, authgrpc.ServerConfig{}),
		ratelimitgrpc.UnaryServerInterceptor(p.keys, p.limited()),
		concurrencygrpc.UnaryServerInterceptor(p.limit, concurrencygrpc.ServerConfig{}),
		breakergrpc.UnaryServerInterceptor(p.breaker, breakergrpc.ServerConfig{}),
	}
}

func (p *parts) streams() []grpc.StreamServerInterceptor {
	return []grpc.StreamServerInterceptor{
		logginggrpc.RecoverStream(p.log),
		tracinggrpc.StreamServerInterceptor(p.spans, tracinggrpc.ServerConfig{}),
		logginggrpc.StreamServerInterceptor(p.log, logginggrpc.ServerConfig{}),
		metricsgrpc.StreamServerInterceptor(p.metrics, metricsgrpc.ServerConfig{}),
		authgrpc.StreamServerInterceptor(p.auth, authgrpc.ServerConfig{}),
		ratelimitgrpc.StreamServerInterceptor(p.keys, p.limited()),
		concurrencygrpc.StreamServerInterceptor(p.limit, concurrencygrpc.ServerConfig{}),
		breakergrpc.StreamServerInterceptor(p.breaker, breakergrpc.ServerConfig{}),
	}
}

func (p *parts) limited() ratelimitgrpc.ServerConfig {
	return ratelimitgrpc.ServerConfig{
		Key: func(context.Context, string) string { return "spent" },
		Cost: func(ctx context.Context, _ string, _ any) int {
			if v := metadata.ValueFromIncomingContext(ctx, "by"); len(v) > 0 && v[0] == "ratelimit" {
				return 1
			}
			return 0
		},
	}
}

// A callEnd is a way out of a call. A handler of a unary call is given no stream.
type callEnd struct {
	name    string
	handler func(ctx context.Context, stream grpc.ServerStream) error
	by      string
	bearer  string
	stream  bool // no unary call ends like that

	verdict
}

// fails returns err, of a stream after a message.
func fails(err error) func(context.Context, grpc.ServerStream) error {
	return func(_ context.Context, stream grpc.ServerStream) error {
		if stream != nil {
			if err := stream.SendMsg(serving); err != nil {
				return err
			}
		}
		return err
	}
}

// secret is what a client sent.
const secret = "canary: a prompt that nobody else may read"

func callEnds() []callEnd {
	coded := func(code codes.Code) func(context.Context, grpc.ServerStream) error {
		return fails(status.Error(code, secret))
	}
	fine := coded(codes.OK)
	return []callEnd{
		{name: "ok", handler: fine, verdict: verdict{status: "0"}},
		{name: "not found", handler: coded(codes.NotFound), verdict: verdict{status: "5"}},
		{name: "exhausted", handler: coded(codes.ResourceExhausted), verdict: verdict{status: "8", ignored: true}},
		{name: "internal", handler: coded(codes.Internal), verdict: verdict{status: "13", failed: true}},
		{name: "unknown", handler: fails(fmt.Errorf("odd: %s", secret)), verdict: verdict{status: "2", failed: true}},
		{name: "outage", handler: coded(codes.Unavailable), verdict: verdict{status: "14", failed: true}},
		{name: "data loss", handler: coded(codes.DataLoss), verdict: verdict{status: "15", failed: true}},
		{name: "too slow", handler: coded(codes.DeadlineExceeded), verdict: verdict{status: "4", failed: true}},
		{name: "panic", handler: func(context.Context, grpc.ServerStream) error { panic("odd") }, verdict: verdict{status: "13", failed: true}},
		{name: "panic after", stream: true, handler: func(ctx context.Context, stream grpc.ServerStream) error {
			_ = stream.SendMsg(serving)
			panic("odd")
		}, verdict: verdict{status: "13", failed: true}},
		{name: "goexit", handler: func(context.Context, grpc.ServerStream) error { runtime.Goexit(); return nil }, verdict: verdict{status: "13", failed: true}},
		{name: "gone", handler: func(ctx context.Context, stream grpc.ServerStream) error {
			ctx.Value(leaveKey{}).(context.CancelFunc)()
			return ctx.Err()
		}, verdict: verdict{status: "1", ignored: true}},
		{name: "queue full", handler: func(ctx context.Context, _ grpc.ServerStream) error {
			return batchinggrpc.Status(ctx, batching.ErrQueueFull)
		}, verdict: verdict{status: "14", reason: "queue-full", ignored: true}},
		{name: "shed after", stream: true, handler: func(ctx context.Context, stream grpc.ServerStream) error {
			_ = stream.SendMsg(serving)
			return batchinggrpc.Status(ctx, batching.ErrQueueFull)
		}, verdict: verdict{status: "14", reason: "queue-full", ignored: true}},
		{name: "no credential", handler: fine, by: "auth", bearer: "bad", verdict: verdict{status: "16", reason: "invalid-credential"}},
		{name: "no keys", handler: fine, by: "auth", bearer: "down", verdict: verdict{status: "14", reason: "auth-unavailable", failed: true, ignored: true}},
		{name: "limited", handler: fine, by: "ratelimit", verdict: verdict{status: "8", reason: "rate-limited", ignored: true}},
		{name: "no permit", handler: fine, by: "concurrency", verdict: verdict{status: "14", reason: "queue-full", ignored: true}},
		{name: "open", handler: fine, by: "breaker", verdict: verdict{status: "14", reason: "breaker-open", ignored: true}},
	}
}

// faults are the names of the codes that say that a server is to blame.
var faults = map[string]bool{"Unknown": true, "DeadlineExceeded": true, "Unimplemented": true, "Internal": true, "Unavailable": true, "DataLoss": true}

// handled is what metricsgrpc says of the calls since it was last asked.
func (p *parts) handled(t *testing.T) (found []verdict) {
	t.Helper()
	for _, l := range p.series(t, "grpc_server_handled_total") {
		var code codes.Code
		for code.String() != l["grpc_code"] {
			code++
		}
		found = append(found, verdict{status: fmt.Sprint(uint32(code)), reason: l["reason"], failed: faults[l["grpc_code"]] && !protects[l["reason"]]})
	}
	return found
}

// serverStream is one whose client reads everything.
type serverStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s serverStream) Context() context.Context   { return s.ctx }
func (serverStream) SendMsg(any) error            { return nil }
func (serverStream) RecvMsg(any) error            { return io.EOF }
func (serverStream) SetTrailer(metadata.MD)       {}
func (serverStream) SetHeader(metadata.MD) error  { return nil }
func (serverStream) SendHeader(metadata.MD) error { return nil }

// call makes one call through the layers in order.
func (p *parts) call(ctx context.Context, o order, unary bool, handler func(context.Context, grpc.ServerStream) error) {
	var all sync.WaitGroup
	defer all.Wait()
	if unary {
		next := func(ctx context.Context, _ any) (any, error) { return serving, handler(ctx, nil) }
		layers, info := p.unaries(), &grpc.UnaryServerInfo{FullMethod: predict}
		for i := len(o) - 1; i >= 0; i-- {
			one, inner := layers[o[i]], next
			next = func(ctx context.Context, req any) (any, error) { return one(ctx, req, info, inner) }
		}
		all.Go(func() { defer func() { _ = recover() }(); _, _ = next(ctx, secret) })
		return
	}
	next := func(_ any, stream grpc.ServerStream) error { return handler(stream.Context(), stream) }
	layers, info := p.streams(), &grpc.StreamServerInfo{FullMethod: predict, IsServerStream: true}
	for i := len(o) - 1; i >= 0; i-- {
		one, inner := layers[o[i]], next
		next = func(srv any, stream grpc.ServerStream) error { return one(srv, stream, info, inner) }
	}
	all.Go(func() { defer func() { _ = recover() }(); _ = next(nil, serverStream{ctx: ctx}) })
}

// As TestAllAgree, for gRPC.
func TestAllAgreeOnCalls(t *testing.T) {
	n := 400
	if testing.Short() {
		n = 50
	}
	for _, o := range orders(n) {
		synctest.Test(t, func(t *testing.T) {
			for _, unary := range []bool{true, false} {
				p := newParts(t)
				for _, e := range callEnds() {
					if e.by != "" && !o.has(e.by) || unary && e.stream {
						continue
					}
					p.called(t, o, unary, e)
				}
				p.quiet(t)
			}
		})
	}
}

func (p *parts) called(t *testing.T, o order, unary bool, e callEnd) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	bearer := e.bearer
	if bearer == "" {
		bearer = "good"
	}
	ctx = metadata.NewIncomingContext(context.WithValue(ctx, leaveKey{}, leave), metadata.Pairs("authorization", "Bearer "+bearer, "by", e.by, "prompt", secret))
	ctx = grpc.NewContextWithServerTransportStream(ctx, callStream{})
	undo := p.before(t, e.by)
	p.call(ctx, o, unary, e.handler)
	undo()
	reached := o
	if e.by != "" {
		reached = o.until(e.by)
	}
	said := accounts{p.records(t, "request"), p.handled(t), p.traces("rpc.grpc.status_code")}
	for _, wrong := range p.disagree(reached, said, e.verdict) {
		t.Errorf("%v: %s, unary %t: %s", o, e.name, unary, wrong)
	}
	if n := p.limit.Stats().InFlight; n != 0 {
		t.Errorf("%v: %s: %d permits are out", o, e.name, n)
	}
}

// quiet checks that nothing a client or a handler said has got out.
func (p *parts) quiet(t *testing.T) {
	t.Helper()
	families, err := p.metrics.Config().Gatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := p.logs.String() + fmt.Sprint(families)
	for _, s := range p.spans.Spans() {
		out += s.String()
	}
	if i := strings.Index(out, "canary"); i >= 0 {
		t.Errorf("the prompt is in …%s", out[max(i-200, 0):min(i+60, len(out))])
	}
}
