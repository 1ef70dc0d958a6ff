package authjwt_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authjwt"
)

// A service that knows its users itself: it mints their tokens, verifies them, and
// publishes its key for other services.
func ExampleNewIssuer() {
	// A service that is to keep sessions over a restart loads its key.
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	issuer, err := authjwt.NewIssuer(authjwt.IssuerConfig{
		Issuer:   "https://models.example.com",
		Audience: []string{"https://models.example.com"},
		Keys:     []authjwt.SigningKey{{Key: key}},
	})
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := authjwt.New(authjwt.Config{Trust: []authjwt.Trust{{
		Issuers:   []string{"https://models.example.com"},
		Audiences: []string{"https://models.example.com"},
		Keys:      issuer.Keys(), // other services: NewJWKS
	}}})
	if err != nil {
		log.Fatal(err)
	}

	whoami := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := auth.PrincipalFromContext(r.Context())
		_, _ = fmt.Fprintln(w, p.Subject, p.Roles)
	})
	mux := http.NewServeMux()
	mux.Handle("GET /.well-known/jwks.json", issuer.JWKSHandler())
	mux.Handle("GET /whoami", auth.Middleware(verifier, auth.MiddlewareConfig{})(whoami))
	mux.HandleFunc("POST /auth/login", func(w http.ResponseWriter, r *http.Request) {
		// Once the password was right:
		tokens, err := issuer.Mint(authjwt.MintRequest{Subject: "ada", Roles: []string{"user"}})
		if err != nil {
			auth.WriteError(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(tokens)
	})

	login := httptest.NewRecorder()
	mux.ServeHTTP(login, httptest.NewRequest("POST", "/auth/login", nil))
	var tokens authjwt.Tokens
	if err := json.NewDecoder(login.Body).Decode(&tokens); err != nil {
		log.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/whoami", nil)
	r.Header.Set("Authorization", tokens.TokenType+" "+tokens.AccessToken)
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, r)
	fmt.Print(tokens.ExpiresIn, " s, ", answer.Body)
	// Output: 900 s, ada [user]
}

// Whoever logs out ends the session, with all its tokens.
func ExampleRevocationList() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	revocations, err := authjwt.NewRevocationList(authjwt.RevocationListConfig{})
	if err != nil {
		log.Fatal(err)
	}
	issuer, err := authjwt.NewIssuer(authjwt.IssuerConfig{
		Issuer:      "https://models.example.com",
		Audience:    []string{"https://models.example.com"},
		Keys:        []authjwt.SigningKey{{Key: key}},
		RefreshTTL:  8 * time.Hour,
		Revocations: revocations,
	})
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := authjwt.New(authjwt.Config{
		Trust: []authjwt.Trust{{
			Issuers:   []string{"https://models.example.com"},
			Audiences: []string{"https://models.example.com"},
			Keys:      issuer.Keys(),
		}},
		Revocations: revocations,
	})
	if err != nil {
		log.Fatal(err)
	}

	logout := func(w http.ResponseWriter, r *http.Request) {
		p, _ := auth.PrincipalFromContext(r.Context())
		session, _ := p.Claims["sid"].(string)
		if err := revocations.Revoke(session, time.Now().Add(8*time.Hour)); err != nil {
			http.Error(w, "not logged out", http.StatusInternalServerError)
		}
	}
	handler := auth.Middleware(verifier, auth.MiddlewareConfig{})(http.HandlerFunc(logout))

	tokens, err := issuer.Mint(authjwt.MintRequest{Subject: "ada"})
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		r := httptest.NewRequest("POST", "/auth/logout", nil)
		r.Header.Set("Authorization", "Bearer "+tokens.AccessToken)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	_, err = issuer.Refresh(context.Background(), tokens.RefreshToken)
	fmt.Println(err)
	// Output:
	// 200
	// 401
	// auth: invalid credential: revoked
}
