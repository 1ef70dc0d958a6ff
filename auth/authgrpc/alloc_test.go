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
)

// chain is a unary call as both interceptors see it, with the metadata of a usual client.
func chain(tb testing.TB, key string) func() {
	keys, err := auth.NewAPIKeys(auth.APIKeysConfig{Prefix: "sk_", Keys: []auth.APIKey{{Hash: auth.HashAPIKey("sk_1"), Owner: "ci"}}})
	if err != nil {
		tb.Fatal(err)
	}
	identify := authgrpc.UnaryServerInterceptor(keys, authgrpc.ServerConfig{})
	may := authgrpc.RequireUnary(everything{}, authgrpc.RequireConfig{
		Resource: func(context.Context, string, any) (string, string) { return "do", "it" },
	})
	ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs(":authority", "models", "content-type", "application/grpc",
		"user-agent", "grpc-go", key, map[string]string{"authorization": "Bearer sk_1", "x-api-key": "sk_1"}[key]))
	info := &grpc.UnaryServerInfo{FullMethod: unaryMethod}
	handler := func(context.Context, any) (any, error) { return nil, nil }
	inner := func(ctx context.Context, req any) (any, error) { return may(ctx, req, info, handler) }
	return func() {
		if _, err := identify(ctx, nil, info, inner); err != nil {
			tb.Error(err)
		}
	}
}

// One is gRPC's copy of the metadata, and one the context that knows the principal.
func TestAllocs(t *testing.T) {
	for _, key := range []string{"authorization", "x-api-key"} {
		if got := testing.AllocsPerRun(1000, chain(t, key)); got > 2 {
			t.Errorf("%s: %v allocations, want 2", key, got)
		}
	}
}

func BenchmarkUnary(b *testing.B) {
	call := chain(b, "authorization")
	b.ReportAllocs()
	for b.Loop() {
		call()
	}
}
