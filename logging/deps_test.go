package logging

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	depstest.Check(t, depstest.Forbid{
		"google.golang.org/grpc": "logging for net/http must not cost a gRPC stack; logginggrpc is for that",
		"github.com/prometheus":  "a log has no metrics; Stats are plain numbers",
		"go.opentelemetry.io":    "trace ids come by the request's state, whoever set them",
	}, "go.uber.org/zap")
}
