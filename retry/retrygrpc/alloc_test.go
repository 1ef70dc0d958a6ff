//go:build !race

package retrygrpc_test

// The race detector makes sync.Pool drop things at random, and so allocations
// uncountable.

import (
	"context"
	"testing"

	"google.golang.org/grpc"

	"github.com/ballast-go/ballast/retry"
	"github.com/ballast-go/ballast/retry/retrygrpc"
)

// A call that succeeds at once.
func TestAllocs(t *testing.T) {
	ctx := context.Background()
	r := newRetrier(t, retry.Config{})
	client := retrygrpc.UnaryClientInterceptor(r, retrygrpc.ClientConfig{})
	server := retrygrpc.UnaryServerInterceptor(retrygrpc.ServerConfig{})
	invoker := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
	handler := func(context.Context, any) (any, error) { return nil, nil }
	opts := []grpc.CallOption{grpc.WaitForReady(true)}
	info := &grpc.UnaryServerInfo{}
	for name, tt := range map[string]struct {
		call func() error
		most float64
	}{
		"client": {func() error { return client(ctx, service+"Unary", nil, nil, nil, invoker, opts...) }, 1},
		"server": {func() error { _, err := server(ctx, nil, info, handler); return err }, 0},
	} {
		if got := testing.AllocsPerRun(1000, func() {
			if err := tt.call(); err != nil {
				t.Error(err)
			}
		}); got > tt.most {
			t.Errorf("%s: %v allocations, want at most %v", name, got, tt.most)
		}
	}
}
