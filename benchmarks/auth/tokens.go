package authbench

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	issuerName = "https://id.example.org/"
	audience   = "https://models.example.org"
	keyID      = "2026-11-a"

	// tokenBytes is how long each token is, with the claims of RFC 9068 §2.2 and a
	// session id that takes what the signature leaves.
	tokenBytes = 763
)

// algorithms are those that are measured, cheapest first.
var algorithms = []string{"HS256", "RS256", "EdDSA", "ES256"}

// issuer makes tokens of one algorithm.
type issuer struct {
	alg     string
	method  jwt.SigningMethod
	private any // as golang-jwt signs by it
	public  any // as everybody verifies by it
	kid     string
	fill    int // bytes of the session id
}

func newIssuer(alg string) (*issuer, error) {
	i := &issuer{alg: alg, method: jwt.GetSigningMethod(alg)}
	switch alg {
	case "HS256":
		secret := make([]byte, 32)
		_, _ = rand.Read(secret) // never fails
		i.private, i.public = secret, secret
	case "RS256":
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, err
		}
		i.private, i.public = key, &key.PublicKey
	case "ES256":
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		i.private, i.public = key, &key.PublicKey
	case "EdDSA":
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		i.private, i.public = private, public
	default:
		return nil, fmt.Errorf("no algorithm is called %q", alg)
	}
	return i, i.pad()
}

// newIssuers returns one for each algorithm.
func newIssuers() (map[string]*issuer, error) {
	all := make(map[string]*issuer, len(algorithms))
	for _, alg := range algorithms {
		i, err := newIssuer(alg)
		if err != nil {
			return nil, err
		}
		all[alg] = i
	}
	return all, nil
}

// members are those of a JSON object.
type members map[string]any

// with returns m with others in it; one that is nil is left out.
func (m members) with(others members) members {
	all := members{}
	for _, from := range []members{m, others} {
		for name, value := range from {
			if all[name] = value; value == nil {
				delete(all, name)
			}
		}
	}
	return all
}

func (i *issuer) header() members {
	return members{"alg": i.alg, "kid": i.kid, "typ": "at+jwt"}
}

// claims are those of the n-th caller.
func (i *issuer) claims(n int) members {
	now := time.Now().Unix()
	return members{
		"iss": issuerName, "aud": audience, "sub": fmt.Sprintf("user-%07d", n), "client_id": "console",
		"iat": now, "exp": now + 3600, "jti": fmt.Sprintf("0195d7a2-8c3e-7%07d", n),
		"scope": "models:read models:predict", "roles": []string{"viewer", "analyst"},
		"sid": fmt.Sprintf("%07d", n) + strings.Repeat("f", i.fill),
	}
}

// pad finds out how long a session id, and the key's id, must be so that a token
// has tokenBytes. No base64 has 4n+1 characters, so one of the two may not do.
func (i *issuer) pad() error {
	for i.kid = keyID; len(i.kid) < len(keyID)+4; i.kid += "0" {
		for i.fill = 0; ; i.fill++ {
			size := len(signed(i.header(), i.claims(0))) + 1 + base64.RawURLEncoding.EncodedLen(i.signature())
			if size == tokenBytes {
				return nil
			}
			if size > tokenBytes {
				break
			}
		}
	}
	return fmt.Errorf("%s: the claims leave no room in %d bytes", i.alg, tokenBytes)
}

// signature is how many bytes one has.
func (i *issuer) signature() int {
	switch i.alg {
	case "HS256":
		return 32
	case "RS256":
		return 256
	}
	return 64
}

// token returns the n-th caller's token.
func (i *issuer) token(n int) (string, error) { return i.sign(i.header(), i.claims(n)) }

// tokens are those of the first n callers.
func (i *issuer) tokens(n int) ([]string, error) {
	all := make([]string, n)
	for k := range all {
		var err error
		if all[k], err = i.token(k); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// sign returns the token.
func (i *issuer) sign(header, claims members) (string, error) {
	return i.signText(signed(header, claims))
}

// signText adds the signature to a token that is without.
func (i *issuer) signText(text string) (string, error) {
	sig, err := i.method.Sign(text, i.private)
	return text + "." + base64.RawURLEncoding.EncodeToString(sig), err
}

// signed is what is signed of a token.
func signed(header, claims members) string { return encode(header) + "." + encode(claims) }

func encode(m members) string {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // of strings, numbers and lists of them
	}
	return base64.RawURLEncoding.EncodeToString(text)
}
