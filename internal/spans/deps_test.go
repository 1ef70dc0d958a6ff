package spans

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	depstest.Check(t, depstest.Forbid{
		"google.golang.org/grpc":       "an HTTP service must not compile gRPC",
		"go.opentelemetry.io/otel/sdk": "any provider will do",
	}, "go.opentelemetry.io/otel")
}
