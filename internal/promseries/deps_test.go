package promseries

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	depstest.Check(t, depstest.Forbid{
		"github.com/ballast-go/ballast":                           "a leaf that packages may import imports none of them",
		"github.com/prometheus/client_golang/prometheus/promhttp": "what serves the series is package metrics",
	}, "github.com/prometheus", "google.golang.org/protobuf")
}
