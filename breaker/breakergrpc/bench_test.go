package breakergrpc_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/ballast-go/ballast/breaker"
	"github.com/ballast-go/ballast/breaker/breakergrpc"
)

// What the interceptors add to a call.
func BenchmarkInterceptors(b *testing.B) {
	ctx := context.Background()
	info := &grpc.UnaryServerInfo{FullMethod: service + "Unary"}
	handler := func(context.Context, any) (any, error) { return nil, nil }
	for kind, cfg := range map[string]breaker.Config{"plain": {}, "timed": {SlowAfter: time.Minute}} {
		br := newBreaker(b, cfg)
		server := breakergrpc.UnaryServerInterceptor(br, breakergrpc.ServerConfig{})
		client := breakergrpc.UnaryClientInterceptor(br, breakergrpc.ClientConfig{})
		invoker := fail(nil)
		b.Run("server/"+kind, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := server(ctx, nil, info, handler); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("client/"+kind, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := client(ctx, info.FullMethod, nil, nil, nil, invoker); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
