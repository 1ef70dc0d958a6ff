package authbench

import (
	"context"
	"net/url"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/auth0/go-jwt-middleware/v3/jwks"
	"github.com/auth0/go-jwt-middleware/v3/validator"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/httprc/v3"
	"github.com/lestrrat-go/jwx/v3/jwk"
	jwt3 "github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authjwt"
)

// floodPeer fetches keys from a URL, as it does by default.
type floodPeer struct {
	name, note string
	new        func(ctx context.Context, url string) (check verify, closeIt func(), err error)
}

func floodPeers() []floodPeer {
	return []floodPeer{
		{Ours, "JWKS: who names an unknown key waits for the next fetch", floodBallast},
		{"go-oidc", "RemoteKeySet", floodOIDC},
		{"keyfunc", "with golang-jwt", floodKeyfunc},
		{"auth0", "CachingProvider", floodAuth0},
		{"jwx", "jwk.Cache", floodJWX},
	}
}

func nothingToClose() {}

func floodBallast(ctx context.Context, url string) (verify, func(), error) {
	keys, err := authjwt.NewJWKS(authjwt.JWKSConfig{URL: url})
	if err != nil {
		return nil, nothingToClose, err
	}
	closeIt := func() { _ = keys.Close(context.Background()) }
	v, err := authjwt.New(authjwt.Config{Trust: []authjwt.Trust{{Issuers: []string{issuerName}, Audiences: []string{audience}, Keys: keys}}})
	return func(ctx context.Context, token string) error {
		_, err := v.Authenticate(ctx, auth.Credentials{Token: token})
		return err
	}, closeIt, err
}

func floodOIDC(ctx context.Context, url string) (verify, func(), error) {
	keys := oidc.NewRemoteKeySet(ctx, url)
	return func(ctx context.Context, token string) error {
		_, err := keys.VerifySignature(ctx, token)
		return err
	}, nothingToClose, nil
}

func floodKeyfunc(ctx context.Context, url string) (verify, func(), error) {
	keys, err := keyfunc.NewDefaultCtx(ctx, []string{url})
	parser := newParser("RS256")
	return func(ctx context.Context, token string) error {
		_, err := parser.Parse(token, func(t *jwt.Token) (any, error) { return keys.KeyfuncCtx(ctx)(t) })
		return err
	}, nothingToClose, err
}

func floodAuth0(_ context.Context, address string) (verify, func(), error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, nothingToClose, err
	}
	keys, err := jwks.NewCachingProvider(jwks.WithIssuerURL(u), jwks.WithCustomJWKSURI(u))
	if err != nil {
		return nil, nothingToClose, err
	}
	v, err := validator.New(validator.WithKeyFunc(keys.KeyFunc), validator.WithAlgorithm(validator.RS256),
		validator.WithIssuer(issuerName), validator.WithAudience(audience))
	return func(ctx context.Context, token string) error {
		_, err := v.ValidateToken(ctx, token)
		return err
	}, nothingToClose, err
}

func floodJWX(ctx context.Context, url string) (verify, func(), error) {
	cache, err := jwk.NewCache(ctx, httprc.NewClient())
	if err != nil {
		return nil, nothingToClose, err
	}
	closeIt := func() { _ = cache.Shutdown(context.Background()) }
	if err := cache.Register(ctx, url); err != nil {
		return nil, closeIt, err
	}
	set, err := cache.CachedSet(url)
	return func(_ context.Context, token string) error {
		_, err := jwt3.ParseString(token, jwt3.WithKeySet(set), jwt3.WithIssuer(issuerName), jwt3.WithAudience(audience))
		return err
	}, closeIt, err
}
