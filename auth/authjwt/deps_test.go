package authjwt

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	const (
		apart   = "cores never import each other: each can be had, or deleted, alone"
		inside  = "tokens are one kind of credential; the other kinds, and rules, stand beside them"
		ballast = "github.com/ballast-go/ballast/"
	)
	depstest.Check(t, depstest.Forbid{
		"google.golang.org/grpc":  "an HTTP service must not compile gRPC: that is authgrpc's",
		"github.com/prometheus":   "a service without Prometheus must not compile it",
		"go.opentelemetry.io":     "a service without tracing must not compile OpenTelemetry",
		"go.uber.org/zap":         "verifying needs no logger",
		"k8s.io":                  "a service outside Kubernetes must not compile its client: that is authkubernetes's",
		ballast + "auth/authgrpc": inside,
		ballast + "auth/authrbac": inside,
		ballast + "batching":      apart,
		ballast + "breaker":       apart,
		ballast + "gpu":           apart,
		ballast + "health":        apart,
		ballast + "logging":       apart,
		ballast + "metrics":       apart,
		ballast + "ratelimit":     apart,
		ballast + "retry":         apart,
		ballast + "secrets":       apart,
		ballast + "tracing":       apart,
		"github.com/ballast-go/ballast/internal/depstest": "is for tests",
	},
		ballast+"auth",                 // whose Authenticator it implements
		"github.com/golang-jwt/jwt/v5", // its signing methods
	)
}
