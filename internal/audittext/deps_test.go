package audittext

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	depstest.Check(t, depstest.Forbid{
		"github.com/ballast-go/ballast": "a leaf that every package may import imports none of them",
	})
}
