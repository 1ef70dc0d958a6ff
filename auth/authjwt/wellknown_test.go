package authjwt

import (
	"crypto/rsa"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func fetch(t testing.TB, i *Issuer, method string, header http.Header) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, "/.well-known/jwks.json", nil)
	maps.Copy(r.Header, header)
	w := httptest.NewRecorder()
	i.JWKSHandler().ServeHTTP(w, r)
	return w
}

// All kinds of keys are published so that a reader of JWK Sets has them back.
func TestJWKSHandler(t *testing.T) {
	algs := slices.DeleteFunc(slices.Clone(algorithms), func(alg string) bool { return strings.HasPrefix(alg, "HS") })
	var keys []SigningKey
	for _, alg := range algs {
		keys = append(keys, signingKey(alg))
	}
	keys[0].ID = "named"
	i, _ := testIssuer(t, func(cfg *IssuerConfig) { cfg.Keys = keys })
	w := fetch(t, i, "GET", nil)
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/jwk-set+json" || !strings.Contains(w.Header().Get("Cache-Control"), "max-age=300") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	set, err := ParseKeySet(w.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Skipped()) > 0 || len(set.keys) != len(algs) {
		t.Errorf("%d of %d keys, without %v", len(set.keys), len(algs), set.Skipped())
	}
	for n, k := range i.Keys().KeySet().keys {
		found, _ := set.find(k.id, k.alg)
		if len(found) != 1 || !found[0].equal(k) {
			t.Errorf("%s: another key under its name", algs[n])
		}
	}
	var doc struct{ Keys []map[string]string }
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	for n, k := range doc.Keys {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			if k[private] != "" {
				t.Errorf("%s: %s is published", algs[n], private)
			}
		}
		if k["use"] != "sig" || k["alg"] != algs[n] || (k["kid"] == "named") != (n == 0) {
			t.Errorf("%s: %v", algs[n], k)
		}
	}
}

func TestJWKSHandlerMethods(t *testing.T) {
	i, _ := testIssuer(t, nil)
	get, head := fetch(t, i, "GET", nil), fetch(t, i, "HEAD", nil)
	if head.Code != 200 || head.Body.Len() != 0 || head.Header().Get("ETag") != get.Header().Get("ETag") || head.Header().Get("ETag") == "" {
		t.Errorf("HEAD: %d %v", head.Code, head.Header())
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		if w := fetch(t, i, method, nil); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %v", method, w.Code, w.Header())
		}
	}
	seen := http.Header{"If-None-Match": get.Header()["Etag"]}
	if w := fetch(t, i, "GET", seen); w.Code != 304 || w.Body.Len() != 0 {
		t.Errorf("not modified: %d", w.Code)
	}
	if err := i.Rotate([]SigningKey{signingKey("ES384")}); err != nil {
		t.Fatal(err)
	}
	if w := fetch(t, i, "GET", seen); w.Code != 200 || w.Body.String() == get.Body.String() {
		t.Errorf("after a rotation: %d %s", w.Code, w.Body)
	}
}

// A key that is given twice is published once, for there are readers that stumble.
func TestJWKSHandlerTwice(t *testing.T) {
	i, _ := testIssuer(t, func(cfg *IssuerConfig) { cfg.Keys = []SigningKey{signingKey("ES256"), signingKey("ES256")} })
	if w := fetch(t, i, "GET", nil); strings.Count(w.Body.String(), "kid") != 1 {
		t.Error(w.Body)
	}
}

// A shared secret, published, would let everybody mint.
func TestJWKSHandlerKeepsSecrets(t *testing.T) {
	i, _ := testIssuer(t, func(cfg *IssuerConfig) {
		cfg.Keys = []SigningKey{signingKey("HS256"), {ID: "b", Algorithm: "HS512", Key: testKeys()["HS512"].private}}
	})
	if w := fetch(t, i, "GET", nil); w.Body.String() != `{"keys":[]}` {
		t.Error(w.Body)
	}
}

// The examples of RFC 7638 §3.1 and RFC 8037 §A.3.
func TestThumbprint(t *testing.T) {
	n, err := strict.DecodeString("0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw")
	if err != nil {
		t.Fatal(err)
	}
	key := newJWK(signer{id: "2011-04-29", alg: "RS256", public: &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}})
	if got := key.thumbprint(); got != "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" || key.KeyID != "2011-04-29" {
		t.Errorf("RSA: %s of %s", got, key.KeyID)
	}
	okp := jwk{Type: "OKP", Curve: "Ed25519", X: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
	if got := okp.thumbprint(); got != "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" {
		t.Errorf("Ed25519: %s", got)
	}
}
