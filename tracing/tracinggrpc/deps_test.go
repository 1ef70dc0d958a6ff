package tracinggrpc_test

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	depstest.Check(t, depstest.Forbid{
		"github.com/prometheus":              "spans are not counted here",
		"go.uber.org/zap":                    "tracing needs no logger",
		"go.opentelemetry.io/otel/sdk":       "any provider will do; tracingotlp has the SDK's",
		"go.opentelemetry.io/otel/exporters": "exporters are tracingotlp's",
	},
		"go.opentelemetry.io/otel", "google.golang.org/grpc", // what this adapter is between
	)
}
