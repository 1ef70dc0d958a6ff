package ratelimitgrpc_test

import (
	"context"
	"fmt"
	"net"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/ratelimit/ratelimitgrpc"
)

// A server with a limit for each client's address, unary calls and streams
// together.
func Example() {
	limiter, err := ratelimit.New(ratelimit.Config{Limit: ratelimit.PerMinute(100)})
	if err != nil {
		panic(err)
	}
	cfg := ratelimitgrpc.ServerConfig{Key: ratelimitgrpc.ByPeerIP}
	server := grpc.NewServer(
		grpc.ChainUnaryInterceptor(ratelimitgrpc.UnaryServerInterceptor(limiter, cfg)),
		grpc.ChainStreamInterceptor(ratelimitgrpc.StreamServerInterceptor(limiter, cfg)),
	)
	defer server.Stop()
	// Output:
}

// What a client gets that has used up its limit.
func ExampleUnaryServerInterceptor() {
	limiter, err := ratelimit.New(ratelimit.Config{Limit: ratelimit.PerMinute(2)})
	if err != nil {
		panic(err)
	}
	intercept := ratelimitgrpc.UnaryServerInterceptor(limiter, ratelimitgrpc.ServerConfig{
		Key: ratelimitgrpc.ByPeerIP,
		// A generated request type has a method for it.
		Cost: func(_ context.Context, _ string, req any) int {
			return int(req.(*wrapperspb.Int64Value).Value)
		},
	})

	// What gRPC does for each call.
	ctx := peer.NewContext(context.Background(), &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}})
	handler := func(context.Context, any) (any, error) { return "served", nil }
	for _, n := range []int64{1, 1, 1, 3} {
		resp, err := intercept(ctx, wrapperspb.Int64(n), &grpc.UnaryServerInfo{FullMethod: "/my.Service/Method"}, handler)
		fmt.Println(resp, err)
	}
	// Output:
	// served <nil>
	// served <nil>
	// <nil> rpc error: code = ResourceExhausted desc = The limit is used up for the moment.
	// <nil> rpc error: code = ResourceExhausted desc = The request asks for more than the limit ever allows at once.
}

// A key that a client can choose freely limits nobody: this one sends another
// address with each call.
func ExampleUnaryServerInterceptor_incorrect() {
	limiter, err := ratelimit.New(ratelimit.Config{Limit: ratelimit.PerHour(1)})
	if err != nil {
		panic(err)
	}
	intercept := ratelimitgrpc.UnaryServerInterceptor(limiter, ratelimitgrpc.ServerConfig{
		Key: func(ctx context.Context, _ string) string {
			return fmt.Sprint(metadata.ValueFromIncomingContext(ctx, "x-forwarded-for"))
		},
	})
	handler := func(context.Context, any) (any, error) { return "served", nil }
	for i := range 3 {
		ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs("x-forwarded-for", fmt.Sprintf("192.0.2.%d", i)))
		fmt.Println(intercept(ctx, nil, &grpc.UnaryServerInfo{FullMethod: "/my.Service/Method"}, handler))
	}
	// Output:
	// served <nil>
	// served <nil>
	// served <nil>
}

// A client that makes ten calls a second at most, and fewer when the server
// asks for it.
func ExampleUnaryClientInterceptor() {
	limiter := rate.NewLimiter(10, 1)
	cfg := ratelimitgrpc.ClientConfig{MaxPushback: time.Minute}
	// From gRPC 1.63 on, NewClient does what Dial did.
	conn, err := grpc.Dial("dns:///models.example:443",
		grpc.WithTransportCredentials(insecure.NewCredentials()), // and TLS in earnest
		grpc.WithChainUnaryInterceptor(ratelimitgrpc.UnaryClientInterceptor(limiter, cfg)),
		grpc.WithChainStreamInterceptor(ratelimitgrpc.StreamClientInterceptor(limiter, cfg)),
	)
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	// Output:
}

// A handler that asks a limiter itself: for what only it knows.
func ExampleStatus() {
	perTenant, err := ratelimit.New(ratelimit.Config{Limit: ratelimit.PerDay(1000)})
	if err != nil {
		panic(err)
	}
	// A method of the server's, as its .proto file has it.
	embed := func(ctx context.Context, in *wrapperspb.StringValue) (*wrapperspb.BytesValue, error) {
		d, err := perTenant.AllowN(ctx, "tenant", len(in.Value))
		if err == nil && !d.OK {
			err = &ratelimit.LimitedError{Decision: d}
		}
		if err != nil {
			return nil, ratelimitgrpc.Status(ctx, err)
		}
		return wrapperspb.Bytes(nil), nil
	}
	for _, text := range []string{"a short text", string(make([]byte, 1001))} {
		_, err = embed(context.Background(), wrapperspb.String(text))
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// rpc error: code = ResourceExhausted desc = The request asks for more than the limit ever allows at once.
}
