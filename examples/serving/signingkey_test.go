package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/examples/serving/internal/digits"
)

// pemOf writes keys as files have them.
func pemOf(t *testing.T, kind string, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if kind == "PUBLIC KEY" {
		der, err = x509.MarshalPKIXPublicKey(key)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// Replicas with one signing key accept each other's tokens, and the key is
// replaced while they run.
func TestSigningKeyIsSharedAndRotated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := newTestKey(t), newTestKey(t)
		dir := &secured{t: t, dir: t.TempDir()}
		path := dir.write("key.pem", pemOf(t, "PRIVATE KEY", one))
		c, other := newSecured(t, "-auth-signing-key", path), newSecured(t, "-auth-signing-key", path)
		if strings.Contains(c.log.String(), "there is no -auth-signing-key") {
			t.Error("it warns of what is not so")
		}
		alice := c.mustLogin("alice")
		other.predict(200, digits.Small, bearer(alice.Access)...)
		kids := func() int {
			return strings.Count(read(t, c.do("GET", "/.well-known/jwks.json", "")), `"kid"`)
		}
		if n := kids(); n != 1 {
			t.Errorf("%d keys are published", n)
		}
		replace := func(content string) {
			dir.write("key.pem", content)
			<-time.After(11 * time.Second)
			synctest.Wait()
		}
		replace(pemOf(t, "PRIVATE KEY", two) + pemOf(t, "PUBLIC KEY", one.Public()))
		if n := kids(); n != 2 {
			t.Errorf("%d keys are published", n)
		}
		c.predict(200, digits.Small, bearer(alice.Access)...)
		fresh := c.mustLogin("alice")
		replace(pemOf(t, "PRIVATE KEY", two))
		c.predict(401, digits.Small, bearer(alice.Access)...)
		c.predict(200, digits.Small, bearer(fresh.Access)...)
		replace("nonsense")
		c.predict(200, digits.Small, bearer(fresh.Access)...)
	})
}

func newTestKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Whatever openssl writes is read, and nothing is quoted.
func TestParseSigningKeys(t *testing.T) {
	ec := newTestKey(t)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	for name, tt := range map[string]struct {
		text, alg string
		keys      int
	}{
		"EC":            {pemOf(t, "PRIVATE KEY", ec), "", 1},
		"EC, SEC 1":     {block("EC PARAMETERS", nil) + block("EC PRIVATE KEY", sec1), "", 1},
		"Ed25519":       {pemOf(t, "PRIVATE KEY", ed), "", 1},
		"RSA":           {pemOf(t, "PRIVATE KEY", rsaKey), "RS256", 1},
		"RSA, PKCS #1":  {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)), "RS256", 1},
		"with another":  {"some text\n" + pemOf(t, "PRIVATE KEY", ed) + pemOf(t, "PUBLIC KEY", ec.Public()), "", 2},
		"cut":           {pemOf(t, "PRIVATE KEY", ed) + pemOf(t, "PUBLIC KEY", ec.Public())[:100], "", 0},
		"cut, and more": {pemOf(t, "PRIVATE KEY", ed) + pemOf(t, "PUBLIC KEY", ec.Public())[:100] + "\n" + pemOf(t, "PUBLIC KEY", ed.Public()), "", 0},
		"public only":   {pemOf(t, "PUBLIC KEY", ec.Public()), "", 0},
		"public first":  {pemOf(t, "PUBLIC KEY", ec.Public()) + pemOf(t, "PRIVATE KEY", ed), "", 0},
		"none":          {"", "", 0},
		"a certificate": {block("CERTIFICATE", []byte("secret")), "", 0},
		"no key":        {block("PRIVATE KEY", []byte("secret")), "", 0},
	} {
		keys, err := parseSigningKeys([]byte(tt.text))
		if len(keys) != tt.keys || (err == nil) != (tt.keys > 0) {
			t.Errorf("%s: %d keys, %v", name, len(keys), err)
			continue
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			if _, ok := keys[0].Key.(crypto.Signer); !ok || keys[0].Algorithm != tt.alg {
				t.Errorf("%s: %T for %q", name, keys[0].Key, keys[0].Algorithm)
			}
		}
	}
}
