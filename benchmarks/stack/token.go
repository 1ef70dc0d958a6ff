package stackbench

import (
	"crypto/rand"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	issuer   = "https://id.example.org/"
	audience = "https://models.example.org"
	keyID    = "2026-11-a"
	subject  = "user-0000042"
)

// A signer makes the tokens that every stack trusts. HS256 is the algorithm that is
// cheapest to verify, which favors whoever does so for each request.
type signer struct{ secret []byte }

func newSigner() *signer {
	s := &signer{make([]byte, 32)}
	_, _ = rand.Read(s.secret) // never fails
	return s
}

// token has the claims of RFC 9068 §2.2, and ends after life.
func (s *signer) token(life time.Duration) (string, error) {
	now := time.Now()
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": issuer, "aud": audience, "sub": subject, "client_id": "console",
		"iat": now.Add(-time.Hour).Unix(), "exp": now.Add(life).Unix(), "jti": "0195d7a2-8c3e-7000000",
		"scope": "models:read models:predict", "roles": []string{"viewer", "analyst"},
	})
	t.Header["kid"], t.Header["typ"] = keyID, "at+jwt"
	return t.SignedString(s.secret)
}
