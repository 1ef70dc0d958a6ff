package retrygrpc_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/retry"
	"github.com/ballast-go/ballast/retry/retrygrpc"
)

// A client that calls again what failed for the moment, but for what must not be
// done twice. gRPC's own retries are off: they would multiply these.
func Example() {
	r, err := retry.New(retry.Config{Name: "models", PerAttempt: 2 * time.Second})
	if err != nil {
		panic(err)
	}
	cfg := retrygrpc.ClientConfig{
		Retry: func(fullMethod string, err error) bool {
			return status.Code(err) == codes.Unavailable && !strings.HasPrefix(fullMethod, "/models.Billing/")
		},
	}
	// From gRPC 1.63 on, NewClient does what Dial did.
	conn, err := grpc.Dial("dns:///models.example:443",
		grpc.WithTransportCredentials(insecure.NewCredentials()), // and TLS in earnest
		grpc.WithDisableRetry(),
		grpc.WithChainUnaryInterceptor(retrygrpc.UnaryClientInterceptor(r, cfg)),
		grpc.WithChainStreamInterceptor(retrygrpc.StreamClientInterceptor(r, cfg)),
	)
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	// Output:
}

// What a caller gets for a call that was given up.
func ExampleUnaryClientInterceptor() {
	r, err := retry.New(retry.Config{Name: "models", Backoff: retry.FullJitter(time.Millisecond, time.Millisecond)})
	if err != nil {
		panic(err)
	}
	attempts := 0
	down := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
		attempts++
		return status.Error(codes.Unavailable, "connection refused")
	}
	intercept := retrygrpc.UnaryClientInterceptor(r, retrygrpc.ClientConfig{})
	err = intercept(context.Background(), "/my.Service/Method", nil, nil, nil, down)
	fmt.Println(attempts, status.Code(err), errors.Is(err, retry.ErrExhausted))
	// Output:
	// 3 Unavailable true
}

// A handler that serves a retry: what it calls in turn is not retried by this
// service as well.
func ExampleUnaryServerInterceptor() {
	server := grpc.NewServer(
		grpc.ChainUnaryInterceptor(retrygrpc.UnaryServerInterceptor(retrygrpc.ServerConfig{})),
		grpc.ChainStreamInterceptor(retrygrpc.StreamServerInterceptor(retrygrpc.ServerConfig{})),
	)
	defer server.Stop()
	// Output:
}

// Calls that may be made twice at a time are hedged: a second one is made when
// the first takes longer than nearly all do.
func ExampleClientConfig_hedging() {
	budget, err := retry.NewBudget(retry.BudgetConfig{})
	if err != nil {
		panic(err)
	}
	r, err := retry.New(retry.Config{Name: "models", Budget: budget})
	if err != nil {
		panic(err)
	}
	hedger, err := retry.NewHedger(retry.HedgeConfig{Name: "models", Budget: budget})
	if err != nil {
		panic(err)
	}
	defer hedger.Close(context.Background())
	_ = retrygrpc.UnaryClientInterceptor(r, retrygrpc.ClientConfig{
		Hedger:     hedger,
		Idempotent: func(fullMethod string) bool { return strings.HasPrefix(fullMethod, "/models.Embeddings/") },
	})
	// Output:
}
