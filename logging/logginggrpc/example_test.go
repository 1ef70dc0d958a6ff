package logginggrpc_test

import (
	"log"

	"google.golang.org/grpc"

	"github.com/ballast-go/ballast/logging"
	"github.com/ballast-go/ballast/logging/logginggrpc"
)

func Example() {
	l, err := logging.New(logging.Config{Name: "model-serving"})
	if err != nil {
		log.Fatal(err)
	}
	cfg := logginggrpc.ServerConfig{}
	s := grpc.NewServer(
		grpc.ChainUnaryInterceptor(logginggrpc.RecoverUnary(l), logginggrpc.UnaryServerInterceptor(l, cfg)),
		grpc.ChainStreamInterceptor(logginggrpc.RecoverStream(l), logginggrpc.StreamServerInterceptor(l, cfg)),
	)
	defer s.Stop()
}

// An interceptor that panics outside of RecoverUnary ends the process. It comes first.
func ExampleRecoverUnary_incorrect() {
	l, err := logging.New(logging.Config{})
	if err != nil {
		log.Fatal(err)
	}
	_ = grpc.ChainUnaryInterceptor(
		logginggrpc.UnaryServerInterceptor(l, logginggrpc.ServerConfig{}),
		logginggrpc.RecoverUnary(l),
	)
}
