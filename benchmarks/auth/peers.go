package authbench

import (
	"context"
	"net/http"
	"strings"

	jwtmiddleware "github.com/auth0/go-jwt-middleware/v3"
	"github.com/auth0/go-jwt-middleware/v3/validator"
	"github.com/go-chi/jwtauth/v5"
	"github.com/golang-jwt/jwt/v5"
	jwt2 "github.com/lestrrat-go/jwx/v2/jwt"
	"github.com/lestrrat-go/jwx/v3/jwa"
	jwt3 "github.com/lestrrat-go/jwx/v3/jwt"
)

// middleware is what a peer puts in front of a handler.
type middleware = func(http.Handler) http.Handler

// peer is a library that verifies an issuer's tokens, with all the checks that
// it has an option for: algorithm, signature, exp (required), iss and aud.
type peer struct {
	name string
	note string
	new  func(*issuer) (middleware, error)
}

func peers() []peer {
	return []peer{
		{"golang-jwt", "with the middleware that one writes", golangJWT},
		{"auth0", "go-jwt-middleware", auth0},
		{"jwtauth", "of chi; it stands on jwx v2", jwtauthPeer},
		{"jwx", "with the middleware that one writes", jwx},
	}
}

// claimsKey is where the middlewares that one writes put the claims.
type claimsKey struct{}

func unauthorized(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	w.WriteHeader(http.StatusUnauthorized)
}

// newParser is golang-jwt with all that makes it strict.
func newParser(alg string) *jwt.Parser {
	return jwt.NewParser(jwt.WithValidMethods([]string{alg}), jwt.WithIssuer(issuerName), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithStrictDecoding())
}

func golangJWT(i *issuer) (middleware, error) {
	parser := newParser(i.alg)
	keys := map[string]any{i.kid: i.public}
	keyFunc := func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		if key := keys[kid]; key != nil {
			return key, nil
		}
		return nil, jwt.ErrTokenUnverifiable
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			if !ok {
				unauthorized(w)
				return
			}
			claims := jwt.MapClaims{}
			if _, err := parser.ParseWithClaims(token, claims, keyFunc); err != nil {
				unauthorized(w)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimsKey{}, claims)))
		})
	}, nil
}

func auth0(i *issuer) (middleware, error) {
	v, err := validator.New(
		validator.WithKeyFunc(func(context.Context) (any, error) { return i.public, nil }),
		validator.WithAlgorithm(validator.SignatureAlgorithm(i.alg)),
		validator.WithIssuer(issuerName), validator.WithAudience(audience),
	)
	if err != nil {
		return nil, err
	}
	m, err := jwtmiddleware.New(jwtmiddleware.WithValidator(v))
	if err != nil {
		return nil, err
	}
	return m.CheckJWT, nil
}

func jwtauthPeer(i *issuer) (middleware, error) {
	a := jwtauth.New(i.alg, nil, i.public,
		jwt2.WithIssuer(issuerName), jwt2.WithAudience(audience), jwt2.WithRequiredClaim("exp"))
	return func(next http.Handler) http.Handler {
		return jwtauth.Verifier(a)(jwtauth.Authenticator(a)(next))
	}, nil
}

func jwx(i *issuer) (middleware, error) {
	alg, err := jwxAlgorithm(i.alg)
	if err != nil {
		return nil, err
	}
	options := []jwt3.ParseOption{
		jwt3.WithKey(alg, i.public), jwt3.WithValidate(true),
		jwt3.WithIssuer(issuerName), jwt3.WithAudience(audience), jwt3.WithRequiredClaim("exp"),
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token, err := jwt3.ParseRequest(r, options...)
			if err != nil {
				unauthorized(w)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimsKey{}, token)))
		})
	}, nil
}

func jwxAlgorithm(name string) (jwa.SignatureAlgorithm, error) {
	if alg, ok := jwa.LookupSignatureAlgorithm(name); ok {
		return alg, nil
	}
	return jwa.EmptySignatureAlgorithm(), http.ErrNotSupported
}
