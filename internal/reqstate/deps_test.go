package reqstate

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

// Of this module only leaves are allowed: every package may import this one.
func TestDependencies(t *testing.T) {
	depstest.Check(t, depstest.Forbid{
		"github.com/ballast-go/ballast/internal/problem":    "what answers is the middleware; the state only looks",
		"github.com/ballast-go/ballast/internal/grpcstatus": "an HTTP service pays for no gRPC",
	})
}
