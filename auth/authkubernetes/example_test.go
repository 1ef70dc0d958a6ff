package authkubernetes_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"k8s.io/client-go/rest"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authkubernetes"
)

// A model server in a cluster: who may use which model is in the cluster's RBAC.
func Example() {
	tokens, err := authkubernetes.New(authkubernetes.Config{
		Client:    clientOfThisExample(), // leave it out in a pod
		Audiences: []string{"models.example.org"},
	})
	if err != nil {
		panic(err)
	}
	rbac, err := authkubernetes.NewAuthorizer(authkubernetes.AuthorizerConfig{
		Client: clientOfThisExample(),
		Group:  "serving.example.org", Resource: "models", Namespace: "serving",
	})
	if err != nil {
		panic(err)
	}
	predict := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := auth.PrincipalFromContext(r.Context())
		fmt.Fprintln(w, p.Subject, "may use", r.PathValue("model"))
	})
	mux := http.NewServeMux()
	mux.Handle("POST /v1/models/{model}/predict", auth.Require(rbac, "predict", auth.PathValue("model"))(predict))
	server := auth.Middleware(tokens, auth.MiddlewareConfig{})(mux)

	token := account("client") // of a service account, with the audience models.example.org
	for _, model := range []string{"open-digits", "secret-letters"} {
		r := httptest.NewRequest(http.MethodPost, "/v1/models/"+model+"/predict", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		fmt.Print(w.Code, " ", w.Header().Get("Content-Type"), "\n")
	}
	// Output:
	// 200 text/plain; charset=utf-8
	// 403 application/problem+json
}

func clientOfThisExample() authkubernetes.Client { return direct(all()) }

// Tokens of the cluster and of another issuer: the cluster comes first and looks only at
// its own, so that no other token is ever sent to the API server.
func ExampleConfig_issuers() {
	tokens, err := authkubernetes.New(authkubernetes.Config{
		Client:    authkubernetes.Client{REST: &rest.Config{Host: "https://kubernetes.default.svc"}},
		Audiences: []string{"models.example.org"},
		Issuers:   []string{"https://kubernetes.default.svc.cluster.local"}, // iss of the cluster's tokens
	})
	if err != nil {
		panic(err)
	}
	var others auth.Authenticator = auth.AuthenticatorFunc(func(context.Context, auth.Credentials) (*auth.Principal, error) {
		return &auth.Principal{Subject: "jane", Issuer: "https://idp.example.org", Method: auth.MethodJWT}, nil // an *authjwt.Verifier
	})
	p, err := auth.First(tokens, others).Authenticate(context.Background(), auth.Credentials{
		Token: token(map[string]any{"iss": "https://idp.example.org", "sub": "jane"}),
	})
	fmt.Println(p.Subject, err)
	// Output: jane <nil>
}

// The audience of the API server makes every pod's token for the API server good here,
// and this service able to do there whatever its callers may. Let callers have a token for
// this service, as the package comment shows.
func ExampleNew_incorrect() {
	_, err := authkubernetes.New(authkubernetes.Config{
		Audiences: []string{"https://kubernetes.default.svc.cluster.local"}, // incorrect
	})
	fmt.Println(errors.Is(err, rest.ErrNotInCluster)) // an example runs nowhere
	// Output: true
}
