package retryafter_test

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	depstest.Check(t, depstest.Forbid{
		"github.com/ballast-go/ballast/ratelimit": "a leaf that both transports read with",
		"github.com/ballast-go/ballast/retry":     "a leaf that both transports read with",
	})
}
