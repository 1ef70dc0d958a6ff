package metricsgrpc_test

import (
	"fmt"
	"net/http"

	"google.golang.org/grpc"

	"github.com/ballast-go/ballast/metrics"
	"github.com/ballast-go/ballast/metrics/metricsgrpc"
)

func Example() {
	m, err := metrics.New(metrics.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()

	var server *grpc.Server
	cfg := metricsgrpc.ServerConfig{
		Services: func() map[string]grpc.ServiceInfo { return server.GetServiceInfo() },
	}
	server = grpc.NewServer(
		grpc.ChainUnaryInterceptor(metricsgrpc.UnaryServerInterceptor(m, cfg)),
		grpc.ChainStreamInterceptor(metricsgrpc.StreamServerInterceptor(m, cfg)),
		grpc.StatsHandler(metricsgrpc.NewServerHandler(m)), // if sizes are worth their price
	)
	defer server.Stop()
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.Handler())
	// Output:
}

// grpc.UnaryInterceptor goes before all of the chain, wherever it stands among the
// options: the calls that it refuses reach nothing that counts.
func ExampleUnaryServerInterceptor_incorrect() {
	m, err := metrics.New(metrics.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	authenticate := func() grpc.UnaryServerInterceptor { return nil } // refuses calls
	_ = []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(metricsgrpc.UnaryServerInterceptor(m, metricsgrpc.ServerConfig{})),
		grpc.UnaryInterceptor(authenticate()), // incorrect: is before the one that counts
	}
	_ = []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(
			metricsgrpc.UnaryServerInterceptor(m, metricsgrpc.ServerConfig{}),
			authenticate(),
		),
	}
	// Output:
}

func ExampleUnaryClientInterceptor() {
	m, err := metrics.New(metrics.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(metricsgrpc.UnaryClientInterceptor(m)),
		grpc.WithChainStreamInterceptor(metricsgrpc.StreamClientInterceptor(m)),
	}
	// Output:
}
