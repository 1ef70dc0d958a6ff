//go:build !race

package ratelimitgrpc_test

// The race detector makes sync.Pool drop things at random, and so allocations
// uncountable.

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

func TestAllocs(t *testing.T) {
	l := newLimiter(t, ratelimit.Limit{Rate: 1e6, Burst: 1e6})
	ctx := peer.NewContext(context.Background(), &peer.Peer{Addr: &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 1}})
	unary := &grpc.UnaryServerInfo{FullMethod: unaryMethod}
	handler := func(context.Context, any) (any, error) { return nil, nil }
	invoker := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
	serverWith := func(cfg ratelimitgrpc.ServerConfig) func() {
		intercept := ratelimitgrpc.UnaryServerInterceptor(l, cfg)
		return func() {
			if _, err := intercept(ctx, nil, unary, handler); err != nil {
				t.Error(err)
			}
		}
	}
	clientWith := func(cfg ratelimitgrpc.ClientConfig) func() {
		intercept := ratelimitgrpc.UnaryClientInterceptor(rate.NewLimiter(rate.Inf, 0), cfg)
		opts := []grpc.CallOption{grpc.WaitForReady(true)}
		return func() {
			if err := intercept(ctx, unaryMethod, nil, nil, nil, invoker, opts...); err != nil {
				t.Error(err)
			}
		}
	}
	for name, tt := range map[string]struct {
		call func()
		most float64
	}{
		"server":                {serverWith(ratelimitgrpc.ServerConfig{Key: ratelimitgrpc.ByMethod}), 0},
		"server, by peer":       {serverWith(ratelimitgrpc.ServerConfig{Key: ratelimitgrpc.ByPeerIP}), 1},
		"client":                {clientWith(ratelimitgrpc.ClientConfig{}), 1},
		"client, not listening": {clientWith(ratelimitgrpc.ClientConfig{MaxPushback: -1}), 0},
	} {
		if got := testing.AllocsPerRun(1000, tt.call); got > tt.most {
			t.Errorf("%s: %v allocations, want at most %v", name, got, tt.most)
		}
	}
}
