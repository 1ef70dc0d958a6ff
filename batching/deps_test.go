package batching_test

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

// Only the standard library and internal/ leaves are allowed; these are the
// ones that would creep in.
func TestDependencies(t *testing.T) {
	depstest.Check(t, depstest.Forbid{
		"google.golang.org/grpc":                          "batchinggrpc translates; an HTTP service pays for no gRPC",
		"github.com/prometheus":                           "batchingprom exports Stats; the batcher only counts",
		"go.opentelemetry.io":                             "a batch has many callers and belongs to no one's trace",
		"go.uber.org/zap":                                 "the batcher returns errors and logs nothing",
		"github.com/ballast-go/ballast/internal/reqstate": "an item need not come from a request",
	})
}
