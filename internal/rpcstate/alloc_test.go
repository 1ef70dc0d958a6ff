//go:build !race

package rpcstate_test

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/ballast-go/ballast/internal/rpcstate"
)

type silent struct{ _ int }

func (*silent) BeginCall(*reqstate.State) {}
func (*silent) Finish(*reqstate.Record)   {}

// The State; the peer's text; gRPC's copy of the user agent. Who joins adds nothing,
// nor does a message.
func TestAllocs(t *testing.T) {
	bare := context.Background()
	called := metadata.NewIncomingContext(peer.NewContext(bare, &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 40001}}),
		metadata.Pairs("user-agent", "grpc-go/1.57.2"))
	handler := func(context.Context, any) (any, error) { return nil, nil }
	for name, tt := range map[string]struct {
		ctx  context.Context
		most float64
	}{"without a peer": {bare, 1}, "called": {called, 3}} {
		for _, observers := range []int{1, 6} {
			next := handler
			for range observers {
				inner, o := next, new(silent)
				next = func(ctx context.Context, req any) (any, error) { return rpcstate.Unary(ctx, req, method, inner, o) }
			}
			if got := testing.AllocsPerRun(1000, func() { _, _ = next(tt.ctx, nil) }); got > tt.most {
				t.Errorf("unary, %s, %d observers: %v allocations, want %v", name, observers, got, tt.most)
			}
		}
		var s grpc.ServerStream = &messages{ctx: tt.ctx, n: 1 << 40}
		o := new(silent)
		through := func(n int) float64 {
			handler := func(_ any, s grpc.ServerStream) error {
				for range n {
					_, _ = s.RecvMsg(nil), s.SendMsg(nil)
				}
				return nil
			}
			return testing.AllocsPerRun(100, func() { _ = rpcstate.Stream(nil, s, method, handler, o) })
		}
		if none, many := through(0), through(1000); none > tt.most+1 || many > none {
			t.Errorf("stream, %s: %v allocations, %v with messages", name, none, many)
		}
	}
}

func BenchmarkUnary(b *testing.B) {
	o := new(silent)
	handler := func(context.Context, any) (any, error) { return nil, nil }
	b.ReportAllocs()
	for b.Loop() {
		_, _ = rpcstate.Unary(context.Background(), nil, method, handler, o)
	}
}

func BenchmarkStreamMessage(b *testing.B) {
	o := new(silent)
	b.ReportAllocs()
	_ = rpcstate.Stream(nil, &messages{ctx: context.Background()}, method, func(_ any, s grpc.ServerStream) error {
		for b.Loop() {
			_ = s.SendMsg(nil)
		}
		return nil
	}, o)
}
