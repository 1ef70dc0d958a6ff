package breaker_test

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	const sister = "each package is usable alone; what they share is the Retryable and RetryDelay of an error"
	depstest.Check(t, depstest.Forbid{
		"github.com/ballast-go/ballast/retry":     sister,
		"github.com/ballast-go/ballast/ratelimit": sister,
		"github.com/prometheus":                   "numbers are Stats(); breakerprom turns them into series",
		"google.golang.org/grpc":                  "is breakergrpc's",
		"go.opentelemetry.io":                     "is the tracing packages'",
		"go.uber.org/zap":                         "the error is the caller's to log",
	})
}
