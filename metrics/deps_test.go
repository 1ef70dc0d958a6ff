package metrics

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	const (
		apart   = "cores never import each other: each can be had, or deleted, alone"
		ballast = "github.com/ballast-go/ballast/"
	)
	depstest.Check(t, depstest.Forbid{
		"google.golang.org/grpc": "an HTTP service must not compile gRPC: that is metricsgrpc's",
		"go.opentelemetry.io":    "a service without tracing must not compile OpenTelemetry",
		"go.uber.org/zap":        "counting needs no logger",
		ballast + "auth":         apart,
		ballast + "batching":     apart,
		ballast + "breaker":      apart,
		ballast + "gpu":          apart,
		ballast + "health":       apart,
		ballast + "logging":      apart,
		ballast + "ratelimit":    apart,
		ballast + "retry":        apart,
		ballast + "secrets":      apart,
		ballast + "tracing":      apart,
		ballast + "metrics":      "adapters build on this package, not the other way round",
		"github.com/prometheus/client_golang/prometheus/testutil": "is for tests",
	},
		"github.com/prometheus",      // the one library that this field is built on
		"google.golang.org/protobuf", // which is what its metrics are made of
	)
}
