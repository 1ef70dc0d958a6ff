package authjwt_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authjwt"
)

// Tokens of one issuer, whose keys are found by discovery and followed as they
// are rotated.
func Example() {
	keys, err := authjwt.NewJWKS(authjwt.JWKSConfig{
		Discovery: "https://login.example.com",
		OnError:   func(err error) { log.Print(err) },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = keys.Close(context.Background()) }()

	verifier, err := authjwt.New(authjwt.Config{Trust: []authjwt.Trust{{
		Issuers:   []string{"https://login.example.com"},
		Audiences: []string{"https://models.example.com"},
		Keys:      keys,
	}}})
	if err != nil {
		log.Fatal(err)
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /whoami", func(w http.ResponseWriter, r *http.Request) {
		p, _ := auth.PrincipalFromContext(r.Context())
		_, _ = fmt.Fprintln(w, p.Subject)
	})
	handler := auth.Middleware(verifier, auth.MiddlewareConfig{})(mux)

	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, httptest.NewRequest("GET", "/whoami", nil))
	fmt.Println(rec.Code, rec.Header().Get("WWW-Authenticate"))
	// Output: 401 Bearer
}

// The access tokens of Amazon Cognito have no aud, but the client's id, and are told
// from ID tokens by a claim.
func ExampleTrust() {
	pool := "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_example"
	keys, err := authjwt.NewJWKS(authjwt.JWKSConfig{URL: pool + "/.well-known/jwks.json"})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = keys.Close(context.Background()) }()
	_, err = authjwt.New(authjwt.Config{Trust: []authjwt.Trust{{
		Issuers:     []string{pool},
		ClientIDs:   []string{"1example23456789"},
		Claims:      map[string][]string{"token_use": {"access"}},
		RolesClaims: []string{"cognito:groups"},
		Keys:        keys,
	}}})
	fmt.Println(err)
	// Output: <nil>
}
