package problem

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	// Of this module's other packages, none is allowed.
	depstest.Check(t, depstest.Forbid{
		"github.com/ballast-go/ballast/internal/reqstate": "it is found by the key of package reason, and need not be there",
	})
}
