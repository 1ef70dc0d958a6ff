package auth

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	const (
		apart   = "cores never import each other: each can be had, or deleted, alone"
		inside  = "its adapters build on this package, not the other way round"
		ballast = "github.com/ballast-go/ballast/"
	)
	depstest.Check(t, depstest.Forbid{
		"google.golang.org/grpc":      "an HTTP service must not compile gRPC: that is authgrpc's",
		"github.com/golang-jwt/jwt":   "who checks API keys needs no JSON Web Tokens: they are authjwt's",
		"k8s.io":                      "a service outside of Kubernetes must not compile its client: that is authkubernetes's",
		"github.com/prometheus":       "a service without Prometheus must not compile it",
		"go.opentelemetry.io":         "a service without tracing must not compile OpenTelemetry",
		"go.uber.org/zap":             "an Auditor is whatever has its method: package logging's Logger does",
		ballast + "auth":              inside,
		ballast + "batching":          apart,
		ballast + "breaker":           apart,
		ballast + "gpu":               apart,
		ballast + "health":            apart,
		ballast + "logging":           apart,
		ballast + "metrics":           apart,
		ballast + "ratelimit":         apart,
		ballast + "retry":             apart,
		ballast + "secrets":           apart,
		ballast + "tracing":           apart,
		ballast + "internal/depstest": "is for tests",
	})
}
