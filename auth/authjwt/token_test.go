package authjwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/ballast-go/ballast/auth"
)

// at is when the tests' tokens are looked at.
var at = time.Unix(1_790_000_000, 0)

// testKey is a pair of keys to sign and to verify with.
type testKey struct {
	method  jwt.SigningMethod
	private any
	public  Key
}

// testKeys returns a key of each kind, with its algorithm as its id.
var testKeys = sync.OnceValue(func() map[string]testKey {
	must := func(k crypto.Signer, err error) crypto.Signer {
		if err != nil {
			panic(err)
		}
		return k
	}
	secret := make([]byte, 64)
	_, _ = rand.Read(secret)
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048)).(*rsa.PrivateKey)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	keys := map[string]testKey{}
	add := func(alg string, private, public any) {
		keys[alg] = testKey{jwt.GetSigningMethod(alg), private, Key{ID: alg, Algorithm: alg, Key: public}}
	}
	for _, alg := range []string{"HS256", "HS384", "HS512"} {
		add(alg, secret, secret)
	}
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
		add(alg, rsaKey, &rsaKey.PublicKey)
	}
	for alg, curve := range map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()} {
		k := must(ecdsa.GenerateKey(curve, rand.Reader)).(*ecdsa.PrivateKey)
		add(alg, k, &k.PublicKey)
	}
	add("EdDSA", must(edKey, err), edKey.Public())
	return keys
})

// testSet returns a set of the keys of all asymmetric algorithms, or of algs.
func testSet(t testing.TB, algs ...string) *KeySet {
	t.Helper()
	var keys []Key
	for alg, k := range testKeys() {
		_, symmetric := k.private.([]byte)
		if len(algs) == 0 && !symmetric {
			keys = append(keys, k.public)
		}
		for _, want := range algs {
			if alg == want {
				keys = append(keys, k.public)
			}
		}
	}
	set, err := NewKeySet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// members is a JSON object; one in another is merged into it.
type members map[string]any

// with returns m with other's members, of which nil ones are left out.
func (m members) with(other members) members {
	out := maps.Clone(m)
	for name, v := range other {
		if out[name] = v; v == nil {
			delete(out, name)
		}
	}
	return out
}

var (
	goodHeader = members{"alg": "ES256", "kid": "ES256", "typ": "JWT"}
	goodClaims = members{
		"iss": "https://issuer.example", "sub": "alice", "aud": "models", "exp": at.Unix() + 900, "iat": at.Unix(), "nbf": at.Unix(),
		"jti": "0123456789", "roles": []string{"predictor"}, "scope": "models.read models.predict",
	}
)

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func jsonOf(v any) []byte {
	if raw, ok := v.(string); ok {
		return []byte(raw)
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// sign returns a token with a header and claims, which are members or the text
// of a document, signed by the key of that name.
func sign(t testing.TB, key string, header, claims any) string {
	t.Helper()
	k := testKeys()[key]
	signed := encode(jsonOf(header)) + "." + encode(jsonOf(claims))
	sig, err := k.method.Sign(signed, k.private)
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + encode(sig)
}

// good returns a token that the tests' verifier accepts.
func good(t testing.TB) string { return sign(t, "ES256", goodHeader, goodClaims) }

// testTrust is the trust that accepts it.
func testTrust(t testing.TB) Trust {
	return Trust{Issuers: []string{"https://issuer.example"}, Audiences: []string{"models"}, Keys: testSet(t)}
}

func newVerifier(t testing.TB, cfg Config) *Verifier {
	t.Helper()
	if cfg.Trust == nil {
		cfg.Trust = []Trust{testTrust(t)}
	}
	v, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func authenticate(t testing.TB, v *Verifier, token string, at time.Time) (*auth.Principal, error) {
	return v.Authenticate(t.Context(), auth.Credentials{Token: token, At: at})
}
