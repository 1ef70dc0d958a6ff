package ratelimitgrpc_test

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	depstest.Check(t, depstest.Forbid{
		"github.com/prometheus":                               "ratelimitprom exports Stats; a gRPC service may have other metrics",
		"go.opentelemetry.io":                                 "a limit is no telemetry",
		"go.uber.org/zap":                                     "the error is ServerConfig.Deny's to log",
		"google.golang.org/grpc/test":                         "is for tests",
		"github.com/ballast-go/ballast/ratelimit/concurrency": "is concurrencygrpc's: who limits rates need not compile it",
	},
		"github.com/ballast-go/ballast/ratelimit", // what it translates
		"golang.org/x/time/rate",                  // what paces a client
		"google.golang.org/grpc",                  // what it translates to
		"google.golang.org/genproto/googleapis/rpc/errdetails",
		"google.golang.org/protobuf",
	)
}
