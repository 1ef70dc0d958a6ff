package concurrency_test

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

// Only the standard library and internal/ leaves are allowed; these are the
// ones that would creep in.
func TestDependencies(t *testing.T) {
	depstest.Check(t, depstest.Forbid{
		"google.golang.org/grpc":                  "concurrencygrpc translates; an HTTP service pays for no gRPC",
		"github.com/prometheus":                   "ratelimitprom exports Stats; the limiter only counts",
		"go.opentelemetry.io":                     "a limit is no span",
		"golang.org/x/time":                       "that is about rates, which this package has nothing to do with",
		"github.com/ballast-go/ballast/ratelimit": "a core of its own: how many at once is another question than how many a second",
	})
}
