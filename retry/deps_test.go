package retry_test

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	const (
		apart   = "cores never import each other: each can be had, or deleted, alone"
		inside  = "the adapters build on this package, not the other way round"
		ballast = "github.com/ballast-go/ballast/"
	)
	depstest.Check(t, depstest.Forbid{
		"google.golang.org/grpc": "an HTTP client must not compile gRPC: that is retrygrpc's",
		"github.com/prometheus":  "a client without Prometheus must not compile it: that is retryprom's",
		"go.opentelemetry.io":    "a client without tracing must not compile OpenTelemetry",
		"go.uber.org/zap":        "counting needs no logger",
		ballast + "auth":         apart,
		ballast + "batching":     apart,
		ballast + "breaker":      apart,
		ballast + "gpu":          apart,
		ballast + "health":       apart,
		ballast + "logging":      apart,
		ballast + "metrics":      apart,
		ballast + "ratelimit":    apart,
		ballast + "secrets":      apart,
		ballast + "tracing":      apart,
		ballast + "retry":        inside,
		"github.com/ballast-go/ballast/internal/depstest": "is for tests",
	},
		"github.com/cenkalti/backoff/v4", // FullJitter is built on it
	)
}
