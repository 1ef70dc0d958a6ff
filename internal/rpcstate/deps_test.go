package rpcstate_test

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	depstest.Check(t, depstest.Forbid{
		"github.com/prometheus":       "observers count",
		"go.opentelemetry.io":         "observers trace",
		"go.uber.org/zap":             "observers log",
		"google.golang.org/grpc/test": "is for tests",
	}, "google.golang.org/grpc")
}
