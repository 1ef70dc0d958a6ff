package ratelimit

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	const (
		apart   = "cores never import each other: each can be had, or deleted, alone"
		inside  = "concurrency and the adapters build on this package, not the other way round"
		ballast = "github.com/ballast-go/ballast/"
	)
	depstest.Check(t, depstest.Forbid{
		"google.golang.org/grpc": "an HTTP service must not compile gRPC: that is ratelimitgrpc's",
		"github.com/prometheus":  "a service without Prometheus must not compile it: that is ratelimitprom's",
		"github.com/redis":       "a limit in this process's memory needs no Redis: that is ratelimitredis's",
		"go.opentelemetry.io":    "a service without tracing must not compile OpenTelemetry",
		"go.uber.org/zap":        "counting needs no logger",
		ballast + "auth":         apart,
		ballast + "batching":     apart,
		ballast + "breaker":      apart,
		ballast + "gpu":          apart,
		ballast + "health":       apart,
		ballast + "logging":      apart,
		ballast + "metrics":      apart,
		ballast + "retry":        apart,
		ballast + "secrets":      apart,
		ballast + "tracing":      apart,
		ballast + "ratelimit":    inside,
		"github.com/ballast-go/ballast/internal/depstest": "is for tests",
	},
		"golang.org/x/time/rate", // its unit of rates, and the pacing of NewTransport
	)
}
