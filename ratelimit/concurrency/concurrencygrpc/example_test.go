package concurrencygrpc_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/ratelimit/concurrency"
	"github.com/ballast-go/ballast/ratelimit/concurrency/concurrencygrpc"
)

// A server that finds out how many calls at a time it can take. Both kinds of
// calls share the limit.
func Example() {
	limiter, err := concurrency.New(concurrency.Config{Adaptive: &concurrency.Adaptive{}, MaxQueue: 100})
	if err != nil {
		panic(err)
	}
	cfg := concurrencygrpc.ServerConfig{
		Trusted:      concurrencygrpc.FromPrefixes(netip.MustParsePrefix("10.0.0.0/8")),
		WriteTimeout: 30 * time.Second,
	}
	server := grpc.NewServer(
		grpc.ChainUnaryInterceptor(concurrencygrpc.UnaryServerInterceptor(limiter, cfg)),
		grpc.ChainStreamInterceptor(concurrencygrpc.StreamServerInterceptor(limiter, cfg)),
	)
	defer server.Stop()
	// Output:
}

// What a client gets for which there is no room.
func ExampleUnaryServerInterceptor() {
	limiter, err := concurrency.New(concurrency.Config{Max: 1})
	if err != nil {
		panic(err)
	}
	intercept := concurrencygrpc.UnaryServerInterceptor(limiter, concurrencygrpc.ServerConfig{})
	info := &grpc.UnaryServerInfo{FullMethod: "/my.Service/Method"}
	ctx := context.Background()
	_, err = intercept(ctx, nil, info, func(context.Context, any) (any, error) {
		// While this call is served, another one comes.
		_, err := intercept(ctx, nil, info, func(context.Context, any) (any, error) { panic("never called") })
		return nil, err
	})
	fmt.Println(status.Code(err), status.Convert(err).Message())
	// Output:
	// Unavailable The service is at its limit, and so is its queue.
}

// A client that has ten calls under way to one server at most.
func ExampleUnaryClientInterceptor() {
	bulkhead, err := concurrency.New(concurrency.Config{Max: 10})
	if err != nil {
		panic(err)
	}
	cfg := concurrencygrpc.ClientConfig{MetadataKey: "criticality"} // of the call it is for
	// From gRPC 1.63 on, NewClient does what Dial did.
	conn, err := grpc.Dial("dns:///models.example:443",
		grpc.WithTransportCredentials(insecure.NewCredentials()), // and TLS in earnest
		grpc.WithChainUnaryInterceptor(concurrencygrpc.UnaryClientInterceptor(bulkhead, cfg)),
		grpc.WithChainStreamInterceptor(concurrencygrpc.StreamClientInterceptor(bulkhead, cfg)),
	)
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	// Output:
}

// A handler that needs a permit for a part of its work only.
func ExampleStatus() {
	gpu, err := concurrency.New(concurrency.Config{Max: 1})
	if err != nil {
		panic(err)
	}
	handle := func(ctx context.Context) error {
		permit, err := gpu.Acquire(ctx)
		if err != nil {
			return concurrencygrpc.Status(ctx, err)
		}
		defer permit.Release()
		return errors.New("no kernel image is available")
	}
	ctx, cancel := context.WithCancel(context.Background())
	fmt.Println(handle(ctx))
	cancel()
	fmt.Println(handle(ctx))
	// Output:
	// no kernel image is available
	// rpc error: code = Canceled desc = The client canceled the request.
}
