//go:build !race

package logginggrpc_test

// The race detector makes sync.Pool drop things at random, and so allocations
// uncountable.

import (
	"context"
	"io"
	"testing"

	"google.golang.org/grpc"

	"github.com/ballast-go/ballast/logging"
	"github.com/ballast-go/ballast/logging/logginggrpc"
)

// A call's State, and its id. Recovering and recording share the State.
func TestAllocs(t *testing.T) {
	l, err := logging.New(logging.Config{Output: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	recoverer := logginggrpc.RecoverUnary(l)
	record := logginggrpc.UnaryServerInterceptor(l, logginggrpc.ServerConfig{})
	info := &grpc.UnaryServerInfo{FullMethod: service + "Unary"}
	handler := func(context.Context, any) (any, error) { return nil, nil }
	inner := func(ctx context.Context, req any) (any, error) { return record(ctx, req, info, handler) }
	ctx := context.Background()
	least := 100.0
	for range 3 {
		least = min(least, testing.AllocsPerRun(1000, func() { _, _ = recoverer(ctx, nil, info, inner) }))
	}
	if least > 2 {
		t.Errorf("%v allocations", least)
	}
}
