package healthgrpc_test

import (
	"context"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/ballast-go/ballast/health"
	"github.com/ballast-go/ballast/health/healthgrpc"
)

func Example() {
	h, err := health.New(health.Config{DrainDelay: 10 * time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := grpc.NewServer(grpc.ChainStreamInterceptor(healthgrpc.StreamServerInterceptor(h)))
	if err := healthgrpc.Register(server, h, healthgrpc.Config{Services: []string{"inference.v1.Predictor"}}); err != nil {
		fmt.Println(err)
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, terminate := context.WithCancel(context.Background()) // see health.Serve for signals
	defer terminate()
	ended := make(chan error)
	go func() {
		ended <- health.Serve(ctx, h, health.ServeConfig{Servers: []health.Server{{Listener: l, GRPC: server}}})
	}()

	cc, err := grpc.Dial(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = cc.Close() }()
	resp, err := healthpb.NewHealthClient(cc).Check(ctx, &healthpb.HealthCheckRequest{Service: "inference.v1.Predictor"})
	fmt.Println(resp.GetStatus(), err)
	terminate()
	fmt.Println(<-ended)
	// Output:
	// SERVING <nil>
	// <nil>
}

// Kubernetes asks for the service "" unless told otherwise. That is readiness: as
// a livenessProbe it kills every process that drains, or starts for long.
func Example_incorrect() {
	fmt.Println(`livenessProbe: {grpc: {port: 9090}}`)
	// The liveness of a process has a name of its own:
	fmt.Println(`livenessProbe: {grpc: {port: 9090, service: ` + healthgrpc.Liveness + `}}`)
	// Output:
	// livenessProbe: {grpc: {port: 9090}}
	// livenessProbe: {grpc: {port: 9090, service: liveness}}
}
