//go:build !race

package concurrencygrpc_test

// The race detector makes sync.Pool drop things at random, and so allocations
// uncountable.

import (
	"context"
	"testing"

	"google.golang.org/grpc"

	"github.com/ballast-go/ballast/ratelimit/concurrency"
	"github.com/ballast-go/ballast/ratelimit/concurrency/concurrencygrpc"
)

// Permits come in slabs of a hundred and more, which AllocsPerRun rounds down.
func TestAllocs(t *testing.T) {
	ctx := context.Background()
	unary := &grpc.UnaryServerInfo{FullMethod: service + "Unary"}
	handler := func(context.Context, any) (any, error) { return nil, nil }
	invoker := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
	streamInfo := &grpc.StreamServerInfo{FullMethod: service + "Watch"}
	streamHandler := func(_ any, stream grpc.ServerStream) error { return stream.SendMsg(nil) }
	var stream grpc.ServerStream = fakeStream{ctx: ctx, send: func() error { return nil }}
	for kind, cfg := range map[string]concurrency.Config{
		"static":   {Max: 10},
		"adaptive": {Adaptive: &concurrency.Adaptive{}},
	} {
		l := newLimiter(t, cfg)
		server := concurrencygrpc.UnaryServerInterceptor(l, concurrencygrpc.ServerConfig{})
		client := concurrencygrpc.UnaryClientInterceptor(l, concurrencygrpc.ClientConfig{})
		streamServer := concurrencygrpc.StreamServerInterceptor(l, concurrencygrpc.ServerConfig{})
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
