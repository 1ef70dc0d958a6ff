package breakerprom_test

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	depstest.Check(t, depstest.Forbid{
		"google.golang.org/grpc":                                  "an HTTP service must not compile gRPC: that is breakergrpc's",
		"go.opentelemetry.io":                                     "a service without OpenTelemetry must not compile it",
		"go.uber.org/zap":                                         "showing numbers needs no logger",
		"github.com/ballast-go/ballast/metrics":                   "a service may count its requests otherwise",
		"github.com/ballast-go/ballast/retry":                     "who breaks need not retry; retryprom shows that",
		"github.com/prometheus/client_golang/prometheus/promhttp": "serving the page is the caller's",
		"github.com/prometheus/client_golang/prometheus/testutil": "is for tests",
	},
		"github.com/ballast-go/ballast/breaker", // whose numbers these are
		"github.com/prometheus",                 // whose form they take
	)
}
