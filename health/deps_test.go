package health_test

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	depstest.Check(t, depstest.Forbid{
		"google.golang.org/grpc":                  "gRPC health is healthgrpc's; an HTTP service must not compile gRPC",
		"github.com/prometheus":                   "numbers leave through Stats; Prometheus series are healthprom's",
		"go.opentelemetry.io":                     "probes are not traced",
		"go.uber.org/zap":                         "what to log, and with what, is the caller's, through OnStateChange",
		"k8s.io":                                  "health answers the kubelet, it does not talk to the API server",
		"database/sql":                            "a check is the caller's own client; whoever has no database compiles none",
		"github.com/ballast-go/ballast/auth":      "cores never import each other",
		"github.com/ballast-go/ballast/batching":  "cores never import each other",
		"github.com/ballast-go/ballast/breaker":   "cores never import each other",
		"github.com/ballast-go/ballast/gpu":       "cores never import each other",
		"github.com/ballast-go/ballast/logging":   "cores never import each other",
		"github.com/ballast-go/ballast/metrics":   "cores never import each other",
		"github.com/ballast-go/ballast/ratelimit": "cores never import each other",
		"github.com/ballast-go/ballast/retry":     "cores never import each other",
		"github.com/ballast-go/ballast/secrets":   "cores never import each other",
		"github.com/ballast-go/ballast/tracing":   "cores never import each other",
	})
}
