package batchinggrpc_test

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc"

	"github.com/ballast-go/ballast/batching"
	"github.com/ballast-go/ballast/batching/batchinggrpc"
	"github.com/ballast-go/ballast/internal/rpctest"
)

// Logs and metrics know why a handler turned a call away, in the words of HTTP.
func TestState(t *testing.T) {
	for want, err := range map[string]error{
		"queue-full": batching.ErrQueueFull,
		"shed":       batching.ErrShed,
		"draining":   batching.ErrClosed,
		"":           errors.New("no reason to come back"),
	} {
		o := rpctest.NewObserver()
		_, _ = o.Unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/a.B/C"}, func(ctx context.Context, _ any) (any, error) {
			return nil, batchinggrpc.Status(ctx, err)
		})
		if rec := o.Record(t); rec.Reason != want {
			t.Errorf("%v: reason %q, want %q", err, rec.Reason, want)
		}
	}
}
