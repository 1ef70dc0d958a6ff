package metricsgrpc_test

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	const module = "github.com/ballast-go/ballast/"
	depstest.Check(t, depstest.Forbid{
		"go.opentelemetry.io":         "an exemplar's ids come by the call's state",
		"go.uber.org/zap":             "records are logginggrpc's",
		"google.golang.org/grpc/test": "is for tests",
		"github.com/prometheus/client_golang/prometheus/testutil": "is for tests",
	},
		module+"metrics",
		"github.com/prometheus",
		"google.golang.org/grpc",
		"google.golang.org/protobuf", // what metrics are made of
	)
}
