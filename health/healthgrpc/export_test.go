package healthgrpc

import (
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/ballast-go/ballast/health"
)

// Watch serves one call of Watch on a stream of the test's.
func Watch(h *health.Health, name string, stream grpc.ServerStream) error {
	s, err := newService(h, Config{})
	if err != nil {
		return err
	}
	return s.watch(&healthpb.HealthCheckRequest{Service: name}, stream)
}
