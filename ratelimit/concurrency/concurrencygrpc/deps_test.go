package concurrencygrpc_test

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	const ratelimit = "github.com/ballast-go/ballast/ratelimit"
	depstest.Check(t, depstest.Forbid{
		"github.com/prometheus":       "ratelimitprom exports Stats; a gRPC service may have other metrics",
		"go.opentelemetry.io":         "a permit is no telemetry",
		"go.uber.org/zap":             "the error is ServerConfig.Deny's to log",
		"golang.org/x/time":           "rates are ratelimitgrpc's: who wants a bulkhead need not compile them",
		"google.golang.org/grpc/test": "is for tests",
		ratelimit + "/ratelimitgrpc":  "each can be had, or deleted, alone",
	},
		ratelimit+"/concurrency", // what it translates
		"google.golang.org/grpc", // what it translates to
		"google.golang.org/genproto/googleapis/rpc/errdetails",
		"google.golang.org/protobuf",
	)
}
