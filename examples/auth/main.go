package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authjwt"
	"github.com/ballast-go/ballast/logging"
)

func main() {
	if err := run(context.Background(), os.Stdout, os.Stderr); err != nil {
		log.Fatal(err)
	}
}

// run starts both servers, and tells out what is answered to some calls. The
// service's log goes to journal.
func run(ctx context.Context, out, journal io.Writer) (err error) {
	logger, err := logging.New(logging.Config{Output: journal})
	if err != nil {
		return err
	}
	password, key := rand.Text(), auth.GenerateAPIKey(keyPrefix)
	issuer, err := newIssuer(password)
	if err != nil {
		return err
	}
	id := httptest.NewServer(issuer)
	defer id.Close()
	jwks, err := authjwt.NewJWKS(authjwt.JWKSConfig{URL: id.URL + "/.well-known/jwks.json"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, jwks.Close(ctx)) }()
	service, err := newService(jwks, []auth.APIKey{
		{Hash: auth.HashAPIKey(key), ID: "2026-11", Owner: "etl", Roles: []string{"nightly"}},
	}, logger)
	if err != nil {
		return err
	}
	server := httptest.NewServer(service)
	defer server.Close()
	return tell(ctx, out, server.URL, map[string]auth.TokenSource{
		"grace":           passwordSource(id.URL, "grace", password, "models"),
		"grace, unscoped": passwordSource(id.URL, "grace", password, ""),
		"etl, by key":     auth.TokenSourceFunc(func(context.Context) (auth.Token, error) { return auth.Token{Value: key}, nil }),
		"forged": auth.TokenSourceFunc(func(context.Context) (auth.Token, error) {
			return auth.Token{Value: "eyJhbGciOiJub25lIn0.eyJzdWIiOiJncmFjZSJ9."}, nil
		}),
	})
}
