package authjwt

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// vectors returns the folder of the test vectors, which are too many and too
// foreign to be part of the repository: that of BALLAST_VECTORS, or
// ../shared/vectors from the repository's root. Without it what reads them
// passes, and fails in CI.
func vectors(t testing.TB) (dir string, ok bool) {
	t.Helper()
	dir, ok = vectorsDir()
	if !ok && os.Getenv("CI") == "true" {
		t.Fatal("the test vectors are not at " + dir)
	}
	return dir, ok
}

var vectorsDir = sync.OnceValues(func() (dir string, ok bool) {
	if dir = os.Getenv("BALLAST_VECTORS"); dir == "" {
		dir = filepath.Join(repository(), "..", "shared", "vectors")
	}
	_, err := os.Stat(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "not run: what reads the test vectors, which are not at", dir)
	}
	return dir, err == nil
})

// repository returns the repository's root.
func repository() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			panic("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}

// readVectors decodes a file of the folder into v.
func readVectors(t *testing.T, v any, path ...string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// wycheproof is a file of C2SP's Project Wycheproof.
type wycheproof struct {
	NumberOfTests int
	TestGroups    []struct {
		Public, Private json.RawMessage
		Tests           []wycheproofTest
	}
}

type wycheproofTest struct {
	TcID    int    `json:"tcId"`
	Comment string `json:"comment"`
	JWS     any    `json:"jws"`
	Result  string `json:"result"`
}

// token returns the JWS as it would be sent; JSON serialisations are objects.
func (w wycheproofTest) token() string {
	if s, ok := w.JWS.(string); ok {
		return s
	}
	b, err := json.Marshal(w.JWS)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// The vectors of json_web_signature_test.json that are wrong, and what is right.
var defective = map[int]string{
	346: "marked valid, but the header's PS384 is not the key's alg, PS256",
	347: "marked valid, but the key's alg is ES521, which there is not",
	350: "marked valid, but the header's PS384 is not the key's alg, PS256",
	351: "marked valid, but the key's alg is ES521, which there is not",
	367: "marked invalid, but it is 357, byte for byte, which is marked valid",
	370: "marked invalid, but it is 357, byte for byte, which is marked valid",
	372: "marked valid, but there is a ? in the base64url of the header",
	373: "marked valid, but there is a ? in the base64url of the payload",
}

func TestWycheproofJWS(t *testing.T) {
	dir, ok := vectors(t)
	if !ok {
		return
	}
	var file wycheproof
	readVectors(t, &file, dir, "wycheproof", "json_web_signature_test.json")
	wrong := make(map[int]bool)
	n := 0
	for _, group := range file.TestGroups {
		jwk := group.Public
		if jwk == nil {
			jwk = group.Private // a shared secret
		}
		set := wycheproofSet(t, group.Tests[0].TcID, fmt.Appendf(nil, `{"keys":[%s]}`, jwk))
		for _, tt := range group.Tests {
			n++
			if accepts(set, tt.token()) != (tt.Result == "valid") {
				wrong[tt.TcID] = true
				if defective[tt.TcID] == "" {
					t.Errorf("%d, %s: judged otherwise than %s", tt.TcID, tt.Comment, tt.Result)
				}
			}
		}
	}
	for id, why := range defective {
		if !wrong[id] {
			t.Errorf("%d is judged as it is marked, though listed: %s", id, why)
		}
	}
	if n != file.NumberOfTests || n < 401 {
		t.Errorf("%d tests of %d were run", n, file.NumberOfTests)
	}
	t.Logf("%d vectors, of which %d are known to be wrong", n, len(defective))
}

// wycheproofSet returns the set of a group, or nil if it is refused.
func wycheproofSet(t *testing.T, id int, jwks []byte) *KeySet {
	set, err := ParseKeySet(jwks)
	const zeros = 357 // the group whose first test it is
	if id != zeros {
		return set
	}
	// The secret is 32 zero bytes, which is what a program has that forgot to read
	// its own. It is refused; but for that, the group is judged as it should.
	if err == nil {
		t.Error("a secret of nothing but zeros is taken")
	}
	set, err = newSet([]*verifyKey{unchecked(t, "hs256-key", "HS256", make([]byte, 32))})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// unchecked makes a key of a shared secret that may be a known one.
func unchecked(t *testing.T, id, alg string, secret []byte) *verifyKey {
	t.Helper()
	random := make([]byte, 64)
	_, _ = rand.Read(random)
	k, err := Key{ID: id, Algorithm: alg, Key: random}.check()
	if err != nil {
		t.Fatal(err)
	}
	a, _ := lookUp(alg)
	k.key, k.checker = secret, newHMACCheck(a.hash, secret)
	return k
}

// accepts reports whether the token's signature is a key's of set; nil has none.
func accepts(set *KeySet, token string) bool {
	if set == nil {
		return false
	}
	_, err := verifyCompact(token, set)
	return err == nil
}

func TestWycheproofJWK(t *testing.T) {
	dir, ok := vectors(t)
	if !ok {
		return
	}
	var file wycheproof
	readVectors(t, &file, dir, "wycheproof", "json_web_key_test.json")
	n := 0
	for _, group := range file.TestGroups {
		jwks := group.Public
		if jwks == nil {
			jwks = group.Private
		}
		set, err := ParseKeySet(jwks)
		for _, tt := range group.Tests {
			n++
			if accepts(set, tt.token()) != (tt.Result == "valid") {
				t.Errorf("%d, %s: judged otherwise than %s (%v)", tt.TcID, tt.Comment, tt.Result, err)
			}
		}
	}
	if n != file.NumberOfTests || n < 26 {
		t.Errorf("%d tests of %d were run", n, file.NumberOfTests)
	}
	t.Logf("%d vectors", n)
}

// cookbook is a file of the examples of RFC 7520, 7797 and 8037. 4.8 of the first
// has lists for Key and Alg.
type cookbook struct {
	Input  struct{ Payload, Key, Alg any }
	Output map[string]any // compact is a string, the JSON serialisations are objects
}

// set returns the set of the example's keys. They are private, which are not
// taken as they are, and public knowledge, and their alg stands beside them.
func (c cookbook) set(t *testing.T) *KeySet {
	t.Helper()
	jwks, algs := []any{c.Input.Key}, []any{c.Input.Alg}
	if several, ok := c.Input.Key.([]any); ok {
		jwks, algs = several[:1], c.Input.Alg.([]any) // a set does not mix their kinds
	}
	key := jwks[0].(map[string]any)
	key["alg"] = algs[0]
	if key["kty"] == "oct" {
		id, _ := key["kid"].(string)
		secret, err := decode(nil, key["k"].(string))
		if err != nil {
			t.Fatal(err)
		}
		set, _ := newSet([]*verifyKey{unchecked(t, id, "HS256", secret)})
		return set
	}
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi"} {
		delete(key, private)
	}
	set, err := ParseKeySet(jsonOf(members{"keys": jwks}))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// What is compact and understood is verified. The rest is refused: JSON
// serialisations, detached content, payloads that are not encoded.
func TestCookbook(t *testing.T) {
	dir, ok := vectors(t)
	if !ok {
		return
	}
	good := map[string]bool{
		"4_1.rsa_v15_signature.json": true, "4_2.rsa-pss_signature.json": true, "4_3.ecdsa_signature.json": true,
		"4_4.hmac-sha2_integrity_protection.json": true, "jws.json": true, // Ed25519
	}
	n, verified := 0, 0
	for _, glob := range []string{"jws/*.json", "rfc7797/*.json", "curve25519/jws.json"} {
		paths, err := filepath.Glob(filepath.Join(dir, "rfc7520-cookbook", glob))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %v, %v", glob, paths, err)
		}
		for _, path := range paths {
			name := filepath.Base(path)
			var file cookbook
			readVectors(t, &file, path)
			set := file.set(t)
			for form, output := range file.Output {
				n++
				token, compact := output.(string)
				if !compact {
					token = string(jsonOf(output))
				}
				payload, err := verifyCompact(token, set)
				if want := compact && good[name]; (err == nil) != want {
					t.Errorf("%s, %s: %v", name, form, err)
				}
				if err != nil {
					continue
				}
				if verified++; string(payload) != file.Input.Payload {
					t.Errorf("%s, %s: payload %q", name, form, payload)
				}
			}
		}
	}
	if verified != len(good) || n < 25 {
		t.Errorf("%d verified, of %d", verified, n)
	}
	t.Logf("%d serialisations, of which %d are compact and understood", n, verified)
}
