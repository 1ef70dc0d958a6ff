package authjwt

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"math/big"
	"net/http"
	"slices"
	"time"

	"github.com/ballast-go/ballast/internal/problem"
)

// publishedFor is how long caches may keep the JWK Set: for so long a new key must
// be published before it signs.
const publishedFor = "public, max-age=300"

// jwk is a public key as RFC 7518 §6 and RFC 8037 §2 write it. Its members that
// make the key are in the order that a thumbprint needs.
type jwk struct {
	Curve    string `json:"crv,omitempty"`
	Exponent string `json:"e,omitempty"`
	Type     string `json:"kty"`
	Modulus  string `json:"n,omitempty"`
	X        string `json:"x,omitempty"`
	Y        string `json:"y,omitempty"`

	Algorithm string `json:"alg,omitempty"`
	KeyID     string `json:"kid,omitempty"`
	Use       string `json:"use,omitempty"`
}

// newJWK returns s's public key, or the zero jwk for a shared secret.
func newJWK(s signer) jwk {
	k := jwk{Algorithm: s.alg, KeyID: s.id, Use: "sig"}
	switch key := s.public.(type) {
	case *rsa.PublicKey:
		k.Type = "RSA"
		k.Modulus = strict.EncodeToString(key.N.Bytes())
		k.Exponent = strict.EncodeToString(big.NewInt(int64(key.E)).Bytes())
	case *ecdsa.PublicKey:
		point, _ := key.Bytes() // checked: 4, x, y
		k.Type, k.Curve = "EC", key.Curve.Params().Name
		half := (len(point) - 1) / 2
		k.X, k.Y = strict.EncodeToString(point[1:1+half]), strict.EncodeToString(point[1+half:])
	case ed25519.PublicKey:
		k.Type, k.Curve, k.X = "OKP", "Ed25519", strict.EncodeToString(key)
	default:
		return jwk{}
	}
	return k
}

// thumbprint is RFC 7638's of the key, or empty for the zero jwk.
func (k jwk) thumbprint() string {
	if k.Type == "" {
		return ""
	}
	k.Algorithm, k.KeyID, k.Use = "", "", ""
	canonical, _ := json.Marshal(k) // strings always encode
	sum := sha256.Sum256(canonical)
	return strict.EncodeToString(sum[:])
}

// document is a JWK Set to be published.
type document struct {
	body []byte
	etag string
}

// publish makes the JWK Set of the public keys. Shared secrets are left out.
func publish(signers []signer) document {
	keys := []jwk{}
	for _, s := range signers {
		if k := newJWK(s); k.Type != "" && !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	body, _ := json.Marshal(map[string][]jwk{"keys": keys})
	sum := sha256.Sum256(body)
	return document{body, `"` + strict.EncodeToString(sum[:16]) + `"`}
}

// JWKSHandler serves the Issuer's public keys as a JWK Set (RFC 7517 §5), for a
// route such as "/.well-known/jwks.json". Caches may keep it for five minutes.
// It answers GET and HEAD; other methods get a 405. An Issuer with
// shared secrets publishes an empty set.
func (i *Issuer) JWKSHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			problem.Write(w, r, http.StatusMethodNotAllowed, "Only GET and HEAD are allowed here.", "", 0)
			return
		}
		doc := i.signing.Load().published
		h := w.Header()
		h.Set("Content-Type", "application/jwk-set+json")
		h.Set("Cache-Control", publishedFor)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("ETag", doc.etag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(doc.body))
	})
}
