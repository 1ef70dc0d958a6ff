package breakergrpc_test

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/breaker"
	"github.com/ballast-go/ballast/breaker/breakergrpc"
)

// A client that does not call a service while that is broken. Both kinds of calls
// share the breaker.
func Example() {
	b, err := breaker.New(breaker.Config{Name: "models"})
	if err != nil {
		panic(err)
	}
	// From gRPC 1.63 on, NewClient does what Dial did.
	conn, err := grpc.Dial("dns:///models.example:443",
		grpc.WithTransportCredentials(insecure.NewCredentials()), // and TLS in earnest
		grpc.WithChainUnaryInterceptor(breakergrpc.UnaryClientInterceptor(b, breakergrpc.ClientConfig{})),
		grpc.WithChainStreamInterceptor(breakergrpc.StreamClientInterceptor(b, breakergrpc.ClientConfig{})),
	)
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	// Output:
}

// What a caller gets for a call that is not made.
func ExampleUnaryClientInterceptor() {
	b, err := breaker.New(breaker.Config{Name: "models", ConsecutiveFailures: 3})
	if err != nil {
		panic(err)
	}
	intercept := breakergrpc.UnaryClientInterceptor(b, breakergrpc.ClientConfig{})
	down := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
		return status.Error(codes.Unavailable, "connection refused")
	}
	for range 5 {
		err := intercept(context.Background(), "/my.Service/Method", nil, nil, nil, down)
		fmt.Println(status.Code(err), errors.Is(err, breaker.ErrOpen))
	}
	// Output:
	// Unavailable false
	// Unavailable false
	// Unavailable false
	// Unavailable true
	// Unavailable true
}

// A server that stops calling handlers which fail, as they do while what they
// need is down.
func ExampleUnaryServerInterceptor() {
	b, err := breaker.New(breaker.Config{Name: "handlers"})
	if err != nil {
		panic(err)
	}
	cfg := breakergrpc.ServerConfig{
		Judge: func(_ context.Context, _ string, err error) breaker.Outcome {
			switch status.Code(err) {
			case codes.Unavailable, codes.DeadlineExceeded:
				return breaker.Failure
			}
			return breaker.Success // a bug for some requests is no reason to turn away the others
		},
	}
	server := grpc.NewServer(
		grpc.ChainUnaryInterceptor(breakergrpc.UnaryServerInterceptor(b, cfg)),
		grpc.ChainStreamInterceptor(breakergrpc.StreamServerInterceptor(b, cfg)),
	)
	defer server.Stop()
	// Output:
}

// A handler with a breaker for each model, which tells its client when to come
// back.
func ExampleStatus() {
	b, err := breaker.New(breaker.Config{Name: "model-7"})
	if err != nil {
		panic(err)
	}
	b.ForceOpen()
	handle := func(ctx context.Context) (string, error) {
		answer, err := breaker.Call(ctx, b, func(context.Context) (string, error) { return "42", nil })
		if err != nil {
			return "", breakergrpc.Status(ctx, err)
		}
		return answer, nil
	}
	_, err = handle(context.Background())
	fmt.Println(status.Code(err), len(status.Convert(err).Details()))
	// Output:
	// Unavailable 2
}
