package healthgrpc_test

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	depstest.Check(t, depstest.Forbid{
		"google.golang.org/grpc/reflection":     "describing services is the caller's choice",
		"google.golang.org/grpc/test":           "is for tests",
		"github.com/prometheus":                 "healthprom shows numbers; a gRPC service may have other metrics",
		"go.opentelemetry.io":                   "probes are not traced",
		"go.uber.org/zap":                       "what to log, and with what, is the caller's",
		"github.com/ballast-go/ballast/metrics": "each can be had, or deleted, alone",
		"github.com/ballast-go/ballast/logging": "each can be had, or deleted, alone",
	},
		"github.com/ballast-go/ballast/health", // what it translates
		"google.golang.org/grpc",               // what it translates to
		"google.golang.org/genproto/googleapis/rpc/errdetails",
		"google.golang.org/protobuf",
	)
}
