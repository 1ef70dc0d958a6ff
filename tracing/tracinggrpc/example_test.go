package tracinggrpc_test

import (
	"net/netip"

	"go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/ballast-go/ballast/tracing/tracinggrpc"
)

func Example() {
	tp := noop.NewTracerProvider() // or tracingotlp's
	cfg := tracinggrpc.ServerConfig{Trust: tracinggrpc.TrustedPeers(netip.MustParsePrefix("10.0.0.0/8"))}
	server := grpc.NewServer(
		grpc.ChainUnaryInterceptor(tracinggrpc.UnaryServerInterceptor(tp, cfg)),
		grpc.ChainStreamInterceptor(tracinggrpc.StreamServerInterceptor(tp, cfg)))
	defer server.Stop()
}

func ExampleNewClientHandler() {
	tp := noop.NewTracerProvider() // or tracingotlp's
	cc, err := grpc.Dial("passthrough:///model:9000",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStatsHandler(tracinggrpc.NewClientHandler(tp, tracinggrpc.ClientConfig{})))
	if err != nil {
		panic(err)
	}
	defer cc.Close()
}
