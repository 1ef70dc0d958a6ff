//go:build !race

package metricsgrpc_test

// The race detector makes sync.Pool drop things at random, and so allocations
// uncountable.

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/ballast-go/ballast/internal/rpctest"
	"github.com/ballast-go/ballast/metrics"
	"github.com/ballast-go/ballast/metrics/metricsgrpc"
)

// serverCall is a call through the server's interceptor, as one behind another of
// Ballast's sees it.
func serverCall(tb testing.TB, c metrics.Config, err error) func() {
	intercept := metricsgrpc.UnaryServerInterceptor(newMetrics(tb, c), metricsgrpc.ServerConfig{})
	info := &grpc.UnaryServerInfo{FullMethod: service + "Unary"}
	handler := func(ctx context.Context, _ any) (any, error) {
		if err != nil {
			reqstate.FromContext(ctx).SetReason("queue-full")
		}
		return nil, err
	}
	return func() { _, _ = intercept(context.Background(), nil, info, handler) }
}

// bare is the same without it: the State and nothing else.
func bare(err error) func() {
	info := &grpc.UnaryServerInfo{FullMethod: service + "Unary"}
	handler := func(context.Context, any) (any, error) { return nil, err }
	return func() { _, _ = rpctest.Nothing{}.Unary(context.Background(), nil, info, handler) }
}

// Counting costs nothing beyond the State that it shares with others, once a series is
// there.
func TestAllocs(t *testing.T) {
	rejected := status.Error(codes.Unavailable, "x")
	for name, tt := range map[string]struct {
		config metrics.Config
		err    error
	}{
		"Guide":            {metrics.Config{}, nil},
		"OTel":             {metrics.Config{Names: metrics.OTel}, nil},
		"native":           {metrics.Config{NativeHistograms: true}, nil},
		"Guide, rejection": {metrics.Config{}, rejected},
		"OTel, rejection":  {metrics.Config{Names: metrics.OTel}, rejected},
	} {
		with, without := testing.AllocsPerRun(1000, serverCall(t, tt.config, tt.err)), testing.AllocsPerRun(1000, bare(tt.err))
		if with > without {
			t.Errorf("%s: %v allocations, %v without", name, with, without)
		}
	}
}

func TestAllocsClient(t *testing.T) {
	intercept := metricsgrpc.UnaryClientInterceptor(newMetrics(t, metrics.Config{}))
	invoker := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
	if got := testing.AllocsPerRun(1000, func() {
		_ = intercept(context.Background(), service+"Unary", nil, nil, nil, invoker)
	}); got > 0 {
		t.Errorf("%v allocations", got)
	}
}

// One is the call's context; a message costs nothing more.
func TestAllocsSizes(t *testing.T) {
	h := metricsgrpc.NewServerHandler(newMetrics(t, metrics.Config{}))
	info, in, out := &stats.RPCTagInfo{FullMethodName: service + "Chat"}, &stats.InPayload{Length: 100}, &stats.OutPayload{Length: 100}
	if got := testing.AllocsPerRun(1000, func() {
		ctx := h.TagRPC(context.Background(), info)
		for range 10 {
			h.HandleRPC(ctx, in)
			h.HandleRPC(ctx, out)
		}
	}); got > 1 {
		t.Errorf("%v allocations", got)
	}
}

// A stream's messages cost nothing.
func TestAllocsStream(t *testing.T) {
	intercept := metricsgrpc.StreamServerInterceptor(newMetrics(t, metrics.Config{}), metricsgrpc.ServerConfig{})
	info := &grpc.StreamServerInfo{FullMethod: service + "Chat", IsClientStream: true, IsServerStream: true}
	calls := func(messages int) float64 {
		var stream grpc.ServerStream = idleStream{}
		handler := func(_ any, stream grpc.ServerStream) error {
			for range messages {
				_, _ = stream.SendMsg(nil), stream.RecvMsg(nil)
			}
			return nil
		}
		return testing.AllocsPerRun(100, func() { _ = intercept(nil, stream, info, handler) })
	}
	if none, many := calls(0), calls(1000); many > none {
		t.Errorf("%v allocations with messages, %v without", many, none)
	}
}

type idleStream struct{ grpc.ServerStream }

func (idleStream) Context() context.Context { return context.Background() }
func (idleStream) SendMsg(any) error        { return nil }
func (idleStream) RecvMsg(any) error        { return nil }

func BenchmarkUnary(b *testing.B) {
	for name, call := range map[string]func(){"bare": bare(nil), "Guide": serverCall(b, metrics.Config{}, nil), "OTel": serverCall(b, metrics.Config{Names: metrics.OTel}, nil)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				call()
			}
		})
	}
}
