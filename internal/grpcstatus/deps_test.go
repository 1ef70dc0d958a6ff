package grpcstatus_test

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	depstest.Check(t, depstest.Forbid{
		"github.com/prometheus":       "a status is no telemetry",
		"go.opentelemetry.io":         "a status is no telemetry",
		"go.uber.org/zap":             "the error is the caller's to log",
		"google.golang.org/grpc/test": "is for tests",
	},
		"google.golang.org/grpc",
		"google.golang.org/genproto/googleapis/rpc/errdetails",
		"google.golang.org/protobuf",
	)
}
