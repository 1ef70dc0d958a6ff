//go:build !race

package authgrpc_test

// The race detector makes some things allocate, and so allocations uncountable.

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authgrpc"
	"github.com/ballast-go/ballast/internal/reqstate"
)

// chain is a unary call as both interceptors see it, with the metadata of a usual client.
func chain(tb testing.TB, key string) func(context.Context) {
	keys, err := auth.NewAPIKeys(auth.APIKeysConfig{Prefix: "sk_", Keys: []auth.APIKey{{Hash: auth.HashAPIKey("sk_1"), Owner: "ci"}}})
	if err != nil {
		tb.Fatal(err)
	}
	identify := authgrpc.UnaryServerInterceptor(keys, authgrpc.ServerConfig{})
	may := authgrpc.RequireUnary(everything{}, authgrpc.RequireConfig{
		Resource: func(context.Context, string, any) (string, string) { return "do", "it" },
	})
	info := &grpc.UnaryServerInfo{FullMethod: unaryMethod}
	handler := func(context.Context, any) (any, error) { return nil, nil }
	inner := func(ctx context.Context, req any) (any, error) { return may(ctx, req, info, handler) }
	return func(ctx context.Context) {
		if _, err := identify(ctx, nil, info, inner); err != nil {
			tb.Error(err)
		}
	}
}

func incoming(key string) context.Context {
	return metadata.NewIncomingContext(context.Background(), metadata.Pairs(":authority", "models", "content-type", "application/grpc",
		"user-agent", "grpc-go", key, map[string]string{"authorization": "Bearer sk_1", "x-api-key": "sk_1"}[key]))
}

// One is gRPC's copy of the metadata, and one the context that knows the principal.
func TestAllocs(t *testing.T) {
	for _, key := range []string{"authorization", "x-api-key"} {
		call, ctx := chain(t, key), incoming(key)
		if got := testing.AllocsPerRun(1000, func() { call(ctx) }); got > 2 {
			t.Errorf("%s: %v allocations, want 2", key, got)
		}
		// A State, which is counted for itself, has room for the principal.
		state := testing.AllocsPerRun(1000, func() { sink = reqstate.NewCall(ctx, unaryMethod, "", "") })
		if got := testing.AllocsPerRun(1000, func() { call(reqstate.NewCall(ctx, unaryMethod, "", "")) }) - state; got > 1 {
			t.Errorf("%s: %v allocations with a State, want 1", key, got)
		}
	}
}

var sink context.Context

func BenchmarkUnary(b *testing.B) {
	call, ctx := chain(b, "authorization"), incoming("authorization")
	b.ReportAllocs()
	for b.Loop() {
		call(ctx)
	}
}
