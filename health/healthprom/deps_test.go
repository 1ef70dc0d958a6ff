package healthprom_test

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	depstest.Check(t, depstest.Forbid{
		"google.golang.org/grpc":                                  "an HTTP service must not compile gRPC: that is healthgrpc's",
		"go.opentelemetry.io":                                     "a service without OpenTelemetry must not compile it",
		"go.uber.org/zap":                                         "showing numbers needs no logger",
		"github.com/ballast-go/ballast/metrics":                   "a service may count its requests otherwise",
		"github.com/prometheus/client_golang/prometheus/promhttp": "serving the page is the caller's",
		"github.com/prometheus/client_golang/prometheus/testutil": "is for tests",
	},
		"github.com/ballast-go/ballast/health", // whose numbers these are
		"github.com/prometheus",                // whose form they take
	)
}
