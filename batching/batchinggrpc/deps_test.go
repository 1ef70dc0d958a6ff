package batchinggrpc_test

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	depstest.Check(t, depstest.Forbid{
		"github.com/prometheus":       "batchingprom exports Stats; a gRPC service may have other metrics",
		"go.opentelemetry.io":         "a status is no telemetry",
		"go.uber.org/zap":             "the error is the caller's to log",
		"google.golang.org/grpc/test": "is for tests",
	},
		"github.com/ballast-go/ballast/batching", // what it translates
		"google.golang.org/grpc",                 // what it translates to
		"google.golang.org/genproto/googleapis/rpc/errdetails",
		"google.golang.org/protobuf",
	)
}
