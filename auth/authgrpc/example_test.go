package authgrpc_test

import (
	"context"
	"log"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authgrpc"
)

func Example() {
	key := auth.GenerateAPIKey("sk_")
	keys, err := auth.NewAPIKeys(auth.APIKeysConfig{
		Prefix: "sk_",
		Keys:   []auth.APIKey{{Hash: auth.HashAPIKey(key), Owner: "ci", Scopes: []string{"models.predict"}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	health := func(fullMethod string) bool { return strings.HasPrefix(fullMethod, "/grpc.health.v1.Health/") }
	cfg := authgrpc.ServerConfig{Exempt: health}
	_ = grpc.NewServer(
		grpc.ChainUnaryInterceptor(authgrpc.UnaryServerInterceptor(keys, cfg)),
		grpc.ChainStreamInterceptor(authgrpc.StreamServerInterceptor(keys, cfg)),
	)
	// Output:
}

// The model is in the request, whatever its type.
func ExampleRequireUnary() {
	policy := auth.Audited(models{}, &journal{}) // or an authrbac.Policy
	_ = authgrpc.RequireUnary(policy, authgrpc.RequireConfig{
		Resource: func(_ context.Context, _ string, req any) (action, resource string) {
			if r, ok := req.(interface{ GetModelName() string }); ok {
				return "predict", r.GetModelName()
			}
			return "predict", "" // which is forbidden
		},
	})
	// Output:
}

func ExampleNewCredentials() {
	src, err := auth.NewReuse(auth.FileTokenSource("/var/run/secrets/tokens/models"), auth.ReuseConfig{})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = src.Close(context.Background()) }()
	creds := authgrpc.NewCredentials(src, authgrpc.CredentialsConfig{})
	cc, err := grpc.Dial("models.example:443",
		grpc.WithTransportCredentials(credentials.NewTLS(nil)),
		grpc.WithPerRPCCredentials(creds),
		grpc.WithStatsHandler(creds)) // a token that is refused is not sent again
	if err != nil {
		log.Fatal(err)
	}
	_ = cc.Close()
	// Output:
}
