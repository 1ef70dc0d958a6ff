package authjwt

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// edKey returns a new key of that id.
func edKey(t testing.TB, id string) Key {
	t.Helper()
	key, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return Key{ID: id, Key: key}
}

func secretKey(id, alg string) Key {
	b := make([]byte, 64)
	_, _ = rand.Read(b)
	return Key{ID: id, Algorithm: alg, Key: b}
}

func TestNewKeySetRefuses(t *testing.T) {
	many := make([]Key, 257)
	for i := range many {
		many[i] = secretKey(fmt.Sprint(i), "HS256")
	}
	for name, tt := range map[string]struct {
		keys []Key
		why  string
	}{
		"none":                {nil, "at least one"},
		"257":                 {many, "257 keys"},
		"two of a name":       {[]Key{edKey(t, "a"), edKey(t, "b"), edKey(t, "a")}, `two EdDSA keys (kid "a")`},
		"two secrets":         {[]Key{secretKey("a", "HS256"), secretKey("a", "HS256")}, `two HS256 keys (kid "a")`},
		"secrets among keys":  {[]Key{edKey(t, "a"), secretKey("b", "HS256")}, "shared secrets and public keys"},
		"secret, no kids":     {[]Key{edKey(t, ""), secretKey("", "HS256")}, "shared secrets and public keys"},
		"long kid is cut":     {[]Key{{ID: strings.Repeat("k", 400), Algorithm: "HS256", Key: []byte{}}}, `(kid "` + strings.Repeat("k", 64) + `")`},
		"kid with a line end": {[]Key{{ID: "a\nb", Algorithm: "HS256", Key: []byte{}}}, `(kid "a\nb")`},
	} {
		set, err := NewKeySet(tt.keys...)
		if err == nil || set != nil || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%s: %v, want %q", name, err, tt.why)
		}
	}
	if _, err := NewKeySet(many[:256]...); err != nil {
		t.Error(err)
	}
}

func TestNewKeySetAllErrors(t *testing.T) {
	_, err := NewKeySet(Key{}, edKey(t, "a"), edKey(t, "a"), Key{ID: "b", Algorithm: "x", Key: 1}, secretKey("", "HS512"))
	want := []string{
		"authjwt: keys[0]: Key is nil",
		`authjwt: keys[3] (kid "b"): the algorithm "x" is not supported`,
		`authjwt: two EdDSA keys (kid "a")`,
		"authjwt: shared secrets and public keys in one set",
	}
	if err == nil || !slices.Equal(strings.Split(err.Error(), "\n"), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

func TestFind(t *testing.T) {
	var keys []Key
	for i := range 6 {
		keys = append(keys, edKey(t, fmt.Sprint("ed", i)))
	}
	shared := testKeys()["RS256"].public.Key
	keys = append(keys, edKey(t, ""), Key{ID: "two", Algorithm: "RS256", Key: shared}, Key{ID: "two", Algorithm: "PS256", Key: shared})
	set, err := NewKeySet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		kid, alg string
		found    []string // ids
		known    bool
	}{
		{"ed3", "EdDSA", []string{"ed3"}, true},
		{"ed3", "ES256", nil, true},
		{"ed3", "", nil, true},
		{"two", "RS256", []string{"two"}, true},
		{"two", "PS256", []string{"two"}, true},
		{"two", "RS512", nil, true},
		{"none", "EdDSA", nil, false},
		{"", "RS256", []string{"two"}, true},
		{"", "EdDSA", []string{"ed0", "ed1", "ed2", "ed3"}, true}, // no more: each costs a check
		{"", "ES256", nil, false},
	} {
		found, known := set.find(tt.kid, tt.alg)
		var ids []string
		for _, k := range found {
			ids = append(ids, k.id)
			if k.alg != tt.alg {
				t.Errorf("%q %q: a key for %s", tt.kid, tt.alg, k.alg)
			}
		}
		if !slices.Equal(ids, tt.found) || known != tt.known {
			t.Errorf("%q %q: %q, %v", tt.kid, tt.alg, ids, known)
		}
	}
}

func TestKeySetSource(t *testing.T) {
	set, err := NewKeySet(edKey(t, "a"))
	if err != nil {
		t.Fatal(err)
	}
	var source KeySource = set
	if got, err := source.Refresh(t.Context(), set, "b"); source.KeySet() != set || got != set || err != nil {
		t.Error("a set is not its own source")
	}
}

func TestKeySetEqual(t *testing.T) {
	a, b, c := edKey(t, "a"), edKey(t, "b"), edKey(t, "")
	s, s2 := secretKey("a", "HS256"), secretKey("a", "HS256")
	set := func(keys ...Key) *KeySet {
		set, err := NewKeySet(keys...)
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	renamed, moved := a, s
	renamed.ID = "z"
	moved.Algorithm = "HS384"
	for i, tt := range []struct {
		x, y *KeySet
		want bool
	}{
		{nil, nil, true},
		{set(a), nil, false},
		{set(a, b, c), set(c, a, b), true},
		{set(a, a, c, c), set(c, a), true},
		{set(a, b), set(a, c), false},
		{set(a, b), set(a), false},
		{set(a), set(renamed), false},
		{set(s), set(s), true},
		{set(s), set(s2), false},
		{set(s), set(moved), false},
		{set(a), set(s), false},
		{set(a), set(Key{ID: "a", Key: b.Key}), false},
	} {
		if tt.x.equal(tt.y) != tt.want || tt.y.equal(tt.x) != tt.want {
			t.Errorf("%d: not %v", i, tt.want)
		}
	}
	if set(a).symmetric() || !set(s).symmetric() {
		t.Error("symmetric is the wrong way round")
	}
}
