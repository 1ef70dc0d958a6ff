package tracing_test

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	const (
		apart   = "cores never import each other: each can be had, or deleted, alone"
		ballast = "github.com/ballast-go/ballast/"
	)
	depstest.Check(t, depstest.Forbid{
		"google.golang.org/grpc":                   "an HTTP service must not compile gRPC: that is tracinggrpc's",
		"github.com/prometheus":                    "spans are not counted here",
		"go.uber.org/zap":                          "tracing needs no logger",
		"go.opentelemetry.io/otel/sdk":             "any provider will do; tracingotlp has the SDK's",
		"go.opentelemetry.io/otel/exporters":       "exporters are tracingotlp's",
		"go.opentelemetry.io/otel/internal/global": "no globals: who wants otel.GetTracerProvider() can pass it",
		ballast + "auth":                           apart,
		ballast + "batching":                       apart,
		ballast + "breaker":                        apart,
		ballast + "gpu":                            apart,
		ballast + "health":                         apart,
		ballast + "logging":                        apart,
		ballast + "metrics":                        apart,
		ballast + "ratelimit":                      apart,
		ballast + "retry":                          apart,
		ballast + "secrets":                        apart,
		ballast + "tracing":                        "adapters build on this package, not the other way round",
	},
		"go.opentelemetry.io/otel", // the one library that this field is built on
	)
}
