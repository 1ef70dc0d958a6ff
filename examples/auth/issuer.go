package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/ballast-go/ballast/auth/authjwt"
)

// newIssuer gives out tokens to grace, who is an analyst, for her password, and
// publishes the key that they are verified by. In earnest it is somebody else's.
func newIssuer(password string) (http.Handler, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	issuer, err := authjwt.NewIssuer(authjwt.IssuerConfig{
		Issuer: issuerName, Audience: []string{audience}, Keys: []authjwt.SigningKey{{Key: key}},
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/.well-known/jwks.json", issuer.JWKSHandler())
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		name, given, _ := r.BasicAuth()
		if subtle.ConstantTimeCompare([]byte(given), []byte(password)) != 1 || name != "grace" {
			http.Error(w, "wrong name or password", http.StatusForbidden)
			return
		}
		tokens, err := issuer.Mint(authjwt.MintRequest{
			Subject: name, Roles: []string{"analyst"}, Scopes: strings.Fields(r.FormValue("scope")), AccessOnly: true,
		})
		if err != nil {
			http.Error(w, "no such scope", http.StatusBadRequest)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(tokens)
	})
	return mux, nil
}
