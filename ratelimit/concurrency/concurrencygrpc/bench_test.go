package concurrencygrpc_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"

	"github.com/ballast-go/ballast/ratelimit/concurrency"
	"github.com/ballast-go/ballast/ratelimit/concurrency/concurrencygrpc"
)

// What the interceptors add to a call.
func BenchmarkInterceptors(b *testing.B) {
	ctx := context.Background()
	info := &grpc.UnaryServerInfo{FullMethod: service + "Unary"}
	handler := func(context.Context, any) (any, error) { return nil, nil }
	invoker := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
	for kind, cfg := range map[string]concurrency.Config{
		"static":   {Max: 10},
		"adaptive": {Adaptive: &concurrency.Adaptive{}},
	} {
		l := newLimiter(b, cfg)
		server := concurrencygrpc.UnaryServerInterceptor(l, concurrencygrpc.ServerConfig{})
		client := concurrencygrpc.UnaryClientInterceptor(l, concurrencygrpc.ClientConfig{})
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
