package logginggrpc_test

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	const module = "github.com/ballast-go/ballast/"
	depstest.Check(t, depstest.Forbid{
		"github.com/prometheus":       "counting is metricsgrpc's",
		"go.opentelemetry.io":         "spans are tracinggrpc's; their ids come by the call's state",
		"google.golang.org/grpc/test": "is for tests",
	},
		module+"logging",
		"google.golang.org/grpc",
		"go.uber.org/zap",
		"go.uber.org/multierr",
	)
}
