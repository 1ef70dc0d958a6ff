package retrygrpc_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"

	"github.com/ballast-go/ballast/retry"
	"github.com/ballast-go/ballast/retry/retrygrpc"
)

// What the interceptors add to a call that succeeds at once.
func BenchmarkInterceptors(b *testing.B) {
	ctx := context.Background()
	client := retrygrpc.UnaryClientInterceptor(newRetrier(b, retry.Config{}), retrygrpc.ClientConfig{})
	server := retrygrpc.UnaryServerInterceptor(retrygrpc.ServerConfig{})
	invoker := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
	handler := func(context.Context, any) (any, error) { return nil, nil }
	info := &grpc.UnaryServerInfo{}
	b.Run("client", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := client(ctx, service+"Unary", nil, nil, nil, invoker); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("server", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := server(ctx, nil, info, handler); err != nil {
				b.Fatal(err)
			}
		}
	})
}
