package authjwt_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/ballast-go/ballast/auth/authjwt"
)

// The keys of an OpenID Connect provider, whoever it is: it says itself where they
// are, and they are fetched while the service runs.
func ExampleNewJWKS() {
	keys, err := authjwt.NewJWKS(authjwt.JWKSConfig{
		Discovery: "https://login.example/realms/models",
		OnError:   func(err error) { slog.Warn("keys of the issuer", "error", err) },
	})
	if err != nil {
		panic(err)
	}
	defer func() { _ = keys.Close(context.Background()) }()

	verifier, err := authjwt.New(authjwt.Config{Trust: []authjwt.Trust{{
		Issuers:   []string{"https://login.example/realms/models"},
		Audiences: []string{"models"},
		Keys:      keys,
	}}})
	if err != nil {
		panic(err)
	}
	_ = verifier // auth.Middleware(verifier, …)

	// The service starts in any case: until there are keys, tokens are answered with 503.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := keys.Ready(ctx); err != nil {
		slog.Warn("starting without keys", "error", err)
	}
}

// Keys that come from elsewhere: from a secret, each time that it changes.
func ExampleKeyring() {
	keys := new(authjwt.Keyring)

	// What watches the secret calls this with each new version.
	changed := func(secret []byte) {
		if err := keys.ReplaceJWKS(secret); err != nil {
			fmt.Println("the keys from before stay")
		}
	}
	changed([]byte(`{"keys":[{"kid":"2026-11","kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	changed([]byte(`not a JWK Set`))
	fmt.Println(keys.KeySet() != nil)
	// Output:
	// the keys from before stay
	// true
}
