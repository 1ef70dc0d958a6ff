package ratelimitgrpc_test

import (
	"context"
	"net"
	"testing"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/ratelimit/ratelimitgrpc"
)

// What the interceptor adds to a call that is let through.
func BenchmarkUnaryServerInterceptor(b *testing.B) {
	l := newLimiter(b, ratelimit.Limit{Rate: 1e9, Burst: 1e9})
	ctx := peer.NewContext(context.Background(), &peer.Peer{Addr: &net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 1}})
	info := &grpc.UnaryServerInfo{FullMethod: unaryMethod}
	handler := func(context.Context, any) (any, error) { return nil, nil }
	for name, key := range map[string]func(context.Context, string) string{
		"method": ratelimitgrpc.ByMethod,
		"peer":   ratelimitgrpc.ByPeerIP,
	} {
		b.Run(name, func(b *testing.B) {
			intercept := ratelimitgrpc.UnaryServerInterceptor(l, ratelimitgrpc.ServerConfig{Key: key})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := intercept(ctx, nil, info, handler); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkUnaryClientInterceptor(b *testing.B) {
	ctx := context.Background()
	intercept := ratelimitgrpc.UnaryClientInterceptor(rate.NewLimiter(rate.Inf, 0), ratelimitgrpc.ClientConfig{})
	invoker := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
	b.ReportAllocs()
	for b.Loop() {
		if err := intercept(ctx, unaryMethod, nil, nil, nil, invoker); err != nil {
			b.Fatal(err)
		}
	}
}
