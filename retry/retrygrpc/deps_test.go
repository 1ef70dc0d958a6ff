package retrygrpc_test

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	const module = "github.com/ballast-go/ballast/"
	depstest.Check(t, depstest.Forbid{
		"github.com/prometheus":       "retryprom exports Stats; a gRPC service may have other metrics",
		"go.opentelemetry.io":         "a retry is no telemetry",
		"go.uber.org/zap":             "the error is the caller's to log",
		"golang.org/x/time":           "rates are ratelimitgrpc's",
		"google.golang.org/grpc/test": "is for tests",
		module + "breaker":            "each can be had, or deleted, alone",
		module + "ratelimit":          "each can be had, or deleted, alone",
	},
		module+"retry",                   // what it translates
		"google.golang.org/grpc",         // what it translates to
		"github.com/cenkalti/backoff/v4", // what retry is built on
		"google.golang.org/genproto/googleapis/rpc/errdetails",
		"google.golang.org/protobuf",
	)
}
