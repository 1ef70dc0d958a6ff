package authgrpc_test

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
)

func TestDependencies(t *testing.T) {
	depstest.Check(t, depstest.Forbid{
		"github.com/prometheus":                      "who a call comes from is no metric",
		"go.opentelemetry.io":                        "nor a trace",
		"go.uber.org/zap":                            "ServerConfig.Audit is an interface",
		"github.com/golang-jwt/jwt/v5":               "who has API keys only need not compile it",
		"github.com/ballast-go/ballast/auth/authjwt": "an Authenticator may be of any kind",
		"google.golang.org/grpc/test":                "is for tests",
	},
		"github.com/ballast-go/ballast/auth", // what it translates
		"google.golang.org/grpc",             // what it translates to
		"google.golang.org/genproto/googleapis/rpc/errdetails",
		"google.golang.org/protobuf",
	)
}
