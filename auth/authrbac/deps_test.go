package authrbac

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	const (
		ballast = "github.com/ballast-go/ballast/"
		apart   = "what a caller may do is decided by its Principal alone, however that was found out"
		format  = "documents are JSON: who writes YAML brings Config.ToJSON, and the version of its library"
	)
	depstest.Check(t, depstest.Forbid{
		ballast + "auth/authjwt":      apart,
		ballast + "auth/authgrpc":     apart,
		"google.golang.org/grpc":      "an HTTP service must not compile gRPC: that is authgrpc's",
		"github.com/golang-jwt":       apart,
		"github.com/prometheus":       "a service without Prometheus must not compile it",
		"go.opentelemetry.io":         "a service without tracing must not compile OpenTelemetry",
		"go.uber.org/zap":             "decisions are told to an auth.Auditor",
		"sigs.k8s.io/yaml":            format,
		"gopkg.in/yaml.v3":            format,
		"regexp":                      "patterns are callers' cost: one pass, whatever they are",
		ballast + "internal/depstest": "is for tests",
	}, ballast+"auth")
}
