package breakergrpc_test

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	const module = "github.com/ballast-go/ballast/"
	depstest.Check(t, depstest.Forbid{
		"github.com/prometheus":       "breakerprom exports Stats; a gRPC service may have other metrics",
		"go.opentelemetry.io":         "a breaker is no telemetry",
		"go.uber.org/zap":             "the error is ServerConfig.Deny's to log",
		"golang.org/x/time":           "rates are ratelimitgrpc's",
		"google.golang.org/grpc/test": "is for tests",
		module + "retry":              "each can be had, or deleted, alone",
		module + "ratelimit":          "each can be had, or deleted, alone",
	},
		module+"breaker",         // what it translates
		"google.golang.org/grpc", // what it translates to
		"google.golang.org/genproto/googleapis/rpc/errdetails",
		"google.golang.org/protobuf",
	)
}
