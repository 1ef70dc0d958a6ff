//go:build !race

package breakergrpc_test

// The race detector makes sync.Pool drop things at random, and so allocations
// uncountable.

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/ballast-go/ballast/breaker"
	"github.com/ballast-go/ballast/breaker/breakergrpc"
)

// Permits come in slabs of hundreds, which AllocsPerRun rounds down.
func TestAllocs(t *testing.T) {
	ctx := context.Background()
	unary := &grpc.UnaryServerInfo{FullMethod: service + "Unary"}
	handler := func(context.Context, any) (any, error) { return nil, nil }
	streamInfo := &grpc.StreamServerInfo{FullMethod: service + "Watch"}
	streamHandler := func(_ any, stream grpc.ServerStream) error { return stream.SendMsg(nil) }
	var stream grpc.ServerStream = fakeStream{ctx: ctx}
	for kind, cfg := range map[string]breaker.Config{"plain": {}, "timed": {SlowAfter: time.Minute}} {
		b := newBreaker(t, cfg)
		server := breakergrpc.UnaryServerInterceptor(b, breakergrpc.ServerConfig{})
		client := breakergrpc.UnaryClientInterceptor(b, breakergrpc.ClientConfig{})
		streamServer := breakergrpc.StreamServerInterceptor(b, breakergrpc.ServerConfig{})
		invoker := fail(nil)
		for name, tt := range map[string]struct {
			call func() error
			most float64
		}{
			"server": {func() error { _, err := server(ctx, nil, unary, handler); return err }, 0},
			"client": {func() error { return client(ctx, service+"Unary", nil, nil, nil, invoker) }, 0},
			"stream": {func() error { return streamServer(nil, stream, streamInfo, streamHandler) }, 1},
		} {
			if got := testing.AllocsPerRun(1000, func() {
				if err := tt.call(); err != nil {
					t.Error(err)
				}
			}); got > tt.most {
				t.Errorf("%s %s: %v allocations, want at most %v", kind, name, got, tt.most)
			}
		}
	}
}
