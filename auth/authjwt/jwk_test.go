package authjwt

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"testing"
)

// jwkOf returns the JWK of a public key or secret.
func jwkOf(t testing.TB, k Key) members {
	t.Helper()
	jwk := members{"use": "sig"}
	if k.ID != "" {
		jwk["kid"] = k.ID
	}
	if k.Algorithm != "" {
		jwk["alg"] = k.Algorithm
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return jwk.with(members{"kty": "RSA", "n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes())})
	case *ecdsa.PublicKey:
		b, err := key.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		half := len(b) / 2
		return jwk.with(members{"kty": "EC", "crv": key.Params().Name, "x": encode(b[1 : 1+half]), "y": encode(b[1+half:])})
	case ed25519.PublicKey:
		return jwk.with(members{"kty": "OKP", "crv": "Ed25519", "x": encode(key)})
	case []byte:
		return jwk.with(members{"kty": "oct", "k": encode(key)})
	}
	t.Fatalf("no JWK of a %T", k.Key)
	return nil
}

func jwkSet(jwks ...members) []byte { return jsonOf(members{"keys": jwks}) }

// parsed returns the first key of a set.
func parsed(t testing.TB, jwks ...members) *verifyKey {
	t.Helper()
	set, err := ParseKeySet(jwkSet(jwks...))
	if err != nil {
		t.Fatal(err)
	}
	return set.keys[0]
}

func TestParseKeySet(t *testing.T) {
	for alg, pair := range testKeys() {
		jwk := jwkOf(t, pair.public)
		sig, err := pair.method.Sign("a.b", pair.private)
		if err != nil {
			t.Fatal(err)
		}
		for name, with := range map[string]members{
			"":          {},
			"no use":    {"use": nil},
			"key_ops":   {"key_ops": []string{"verify"}},
			"sign, too": {"use": nil, "key_ops": []string{"sign", "verify"}},
			"others":    {"x5c": []string{"AAAA"}, "x5t": "AAAA", "x5u": "http://127.0.0.1:1/", "issuer": "https://x.example", "ext": true},
		} {
			if k := parsed(t, jwk.with(with)); k.id != alg || k.alg != alg || k.verify("a.b", sig) != nil {
				t.Errorf("%s, %s: %s %s", alg, name, k.id, k.alg)
			}
		}
	}
}

// Without an alg the key's kind decides. Entra ID publishes RSA keys like that.
func TestParseKeySetWithoutAlg(t *testing.T) {
	for alg, pair := range testKeys() {
		jwk := jwkOf(t, pair.public).with(members{"alg": nil})
		set, err := ParseKeySet(jwkSet(jwk))
		switch alg[:2] {
		case "HS":
			if err == nil || !strings.Contains(err.Error(), "without an alg") {
				t.Errorf("%s: %v", alg, err)
			}
		case "RS", "PS":
			if err != nil || set.keys[0].alg != "RS256" {
				t.Errorf("%s: %v", alg, err)
			}
		default:
			if err != nil || set.keys[0].alg != alg {
				t.Errorf("%s: %v", alg, err)
			}
		}
	}
}

// A key that cannot be used, or is for something else, takes nothing from the others.
func TestParseKeySetPassesOver(t *testing.T) {
	rsaKey, ec, ed := jwkOf(t, testKeys()["RS256"].public), jwkOf(t, testKeys()["ES256"].public), jwkOf(t, testKeys()["EdDSA"].public)
	other := jwkOf(t, testKeys()["ES384"].public)
	n := odd(t, 2048).Bytes()
	for name, tt := range map[string]struct {
		jwk members
		why string
	}{
		"use enc":            {rsaKey.with(members{"use": "enc"}), `use "enc"`},
		"use empty":          {rsaKey.with(members{"use": ""}), `use ""`},
		"use a list":         {rsaKey.with(members{"use": []string{"sig"}}), "use is not a string"},
		"alg to encrypt":     {rsaKey.with(members{"alg": "RSA-OAEP"}), `alg "RSA-OAEP"`},
		"alg ES256K":         {ec.with(members{"alg": "ES256K", "crv": "secp256k1"}), `alg "ES256K"`},
		"alg empty":          {ec.with(members{"alg": ""}), `alg ""`},
		"alg none":           {ec.with(members{"alg": "none"}), `alg "none"`},
		"alg a number":       {ec.with(members{"alg": 256}), "alg is not a string"},
		"alg null":           {members{"kty": "EC", "alg": json.RawMessage("null")}, "alg is not a string"},
		"alg of RSA":         {ec.with(members{"alg": "RS256"}), "not one for RS256"},
		"alg of other curve": {ec.with(members{"alg": "ES384"}), "not one for ES384"},
		"alg of secrets":     {rsaKey.with(members{"alg": "HS256"}), "not one for HS256"},
		"alg of Ed25519":     {ec.with(members{"alg": "EdDSA"}), "not one for EdDSA"},
		"kid a number":       {ec.with(members{"kid": 1}), "kid is not a string"},
		"kid long":           {ec.with(members{"kid": strings.Repeat("k", 513)}), "513 bytes"},
		"no kty":             {ec.with(members{"kty": nil}), `kty ""`},
		"kty unknown":        {members{"kty": "AKP", "alg": "ES256"}, `kty "AKP"`},
		"kty in lower case":  {rsaKey.with(members{"kty": "rsa"}), `kty "rsa"`},
		"kty a list":         {rsaKey.with(members{"kty": []string{"RSA"}}), "kty is not a string"},
		"crv unknown":        {ec.with(members{"crv": "secp256k1", "alg": nil}), `crv "secp256k1"`},
		"crv a number":       {ec.with(members{"crv": 256}), "crv is not a string"},
		"crv missing":        {ec.with(members{"crv": nil}), `crv ""`},
		"crv other":          {ec.with(members{"crv": "P-384", "alg": nil}), "x has 32 bytes, not those of P-384"},
		"OKP crv X25519":     {ed.with(members{"crv": "X25519"}), `crv "X25519"`},
		"OKP crv a number":   {ed.with(members{"crv": 25519}), "crv is not a string"},
		"OKP x short":        {ed.with(members{"x": encode(n[:31])}), "31 bytes"},
		"OKP x zeros":        {ed.with(members{"x": encode(make([]byte, 32))}), "anybody can sign"},
		"key_ops others":     {rsaKey.with(members{"use": nil, "key_ops": []string{"encrypt"}}), "without verify"},
		"key_ops sign":       {rsaKey.with(members{"use": nil, "key_ops": []string{"sign"}}), "without verify"},
		"key_ops empty":      {rsaKey.with(members{"key_ops": []string{}}), "without verify"},
		"key_ops twice":      {rsaKey.with(members{"key_ops": []string{"verify", "verify"}}), "an operation twice"},
		"key_ops sign twice": {rsaKey.with(members{"key_ops": []string{"sign", "verify", "sign"}}), "an operation twice"},
		"key_ops mixed":      {rsaKey.with(members{"key_ops": []string{"verify", "encrypt"}}), "unrelated"},
		"key_ops a string":   {rsaKey.with(members{"key_ops": "verify"}), "key_ops is not a list"},
		"key_ops numbers":    {rsaKey.with(members{"key_ops": []int{1}}), "without verify"},
		"n missing":          {rsaKey.with(members{"n": nil}), "n is missing"},
		"n a number":         {rsaKey.with(members{"n": 7}), "n is missing"},
		"n of 1024 bits":     {rsaKey.with(members{"n": encode(odd(t, 1024).Bytes())}), "RSA of 1024 bits"},
		"n in base64":        {rsaKey.with(members{"n": "+/" + encode(n)[2:]}), "n: not base64url"},
		"n padded":           {rsaKey.with(members{"n": encode(n) + "=="}), "n: not base64url"},
		"n with line end":    {rsaKey.with(members{"n": encode(n) + "\n"}), "n: not base64url"},
		"n, trailing bits":   {rsaKey.with(members{"n": encode(n)[:341] + "B"}), "n: not base64url"},
		"e missing":          {rsaKey.with(members{"e": nil}), "e is missing"},
		"e empty":            {rsaKey.with(members{"e": ""}), "exponent"},
		"e 1":                {rsaKey.with(members{"e": "AQ"}), "exponent"},
		"e 2³²+1":            {rsaKey.with(members{"e": "AQAAAAE"}), "exponent"},
		"e of 9 bytes":       {rsaKey.with(members{"e": "AQAAAAAAAAAB"}), "exponent"},
		"x missing":          {ec.with(members{"x": nil}), "x is missing"},
		"x short":            {ec.with(members{"x": encode(n[:31])}), "x has 31 bytes"},
		"x long":             {ec.with(members{"x": encode(append([]byte{0}, n[:32]...))}), "x has 33 bytes"},
		"off the curve":      {ec.with(members{"x": encode(n[:32])}), "not a point"},
		"private RSA":        {rsaKey.with(members{"d": "AQAB"}), "private key"},
		"factors of RSA":     {rsaKey.with(members{"p": "AQAB"}), "private key"},
		"private EC":         {ec.with(members{"d": "AQAB"}), "private key"},
		"private Ed25519":    {ed.with(members{"d": "AQAB"}), "private key"},
	} {
		set, err := ParseKeySet(jwkSet(other, tt.jwk))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if skipped := set.Skipped(); len(set.keys) != 1 || len(skipped) != 1 || !strings.HasPrefix(skipped[0], "keys[1]") || !strings.Contains(skipped[0], tt.why) {
			t.Errorf("%s: %d keys, passed over %q, want %q", name, len(set.keys), skipped, tt.why)
		}
		if _, err := ParseKeySet(jwkSet(tt.jwk)); err == nil || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%s, alone: %v, want %q", name, err, tt.why)
		}
	}
}

func TestParseKeySetRefuses(t *testing.T) {
	ec, ed := jwkOf(t, testKeys()["ES256"].public), jwkOf(t, testKeys()["EdDSA"].public)
	oct := jwkOf(t, secretKey("s", "HS256"))
	for name, tt := range map[string]struct {
		jwks []byte
		why  string
	}{
		"empty":              {nil, "JSON"},
		"a list":             {[]byte("[]"), "JSON"},
		"no keys":            {[]byte("{}"), "no list of keys"},
		"one JWK":            {jsonOf(ec), "no list of keys"},
		"certificates":       {[]byte(`{"kid":"-----BEGIN CERTIFICATE-----"}`), "no list of keys"},
		"keys an object":     {[]byte(`{"keys":{}}`), "no list of keys"},
		"keys of strings":    {[]byte(`{"keys":["a"]}`), "keys[0] is not an object"},
		"no key":             {[]byte(`{"keys":[]}`), "no key for signatures"},
		"two documents":      {append(jwkSet(ec), jwkSet(ed)...), "JSON"},
		"keys twice":         {[]byte(`{"keys":[],"keys":[` + string(jsonOf(ec)) + `]}`), "twice"},
		"a member twice":     {[]byte(`{"keys":[` + string(jsonOf(ec)) + `,{"kty":"a","kty":"b"}]}`), "twice"},
		"UTF-8":              {[]byte("{\"keys\":[],\"x\":\"\xff\"}"), "UTF-8"},
		"too long":           {append(jwkSet(ec), make([]byte, maxJWKS)...), "longer"},
		"too many":           {jwkSet(slices.Repeat([]members{ec}, 257)...), "257 keys"},
		"two of a name":      {jwkSet(ed, ed.with(members{"x": jwkOf(t, edKey(t, ""))["x"]})), `two EdDSA keys (kid "EdDSA")`},
		"secrets among keys": {jwkSet(oct, ec), "shared secrets and public keys"},
		"short secret":       {jwkSet(oct.with(members{"k": encode(make([]byte, 31))}), oct), "31 bytes"},
		"known secret":       {jwkSet(oct.with(members{"k": encode([]byte("a-string-secret-at-least-256-bits-long"))}), oct), "publicly known"},
		"secret padded":      {jwkSet(oct.with(members{"k": oct["k"].(string) + "="})), "k: not base64url"},
		"secret without k":   {jwkSet(oct.with(members{"k": nil})), "k is missing"},
		"secret for RS256":   {jwkSet(oct.with(members{"alg": "RS256"})), "not one for RS256"},
		"secret to encrypt":  {jwkSet(oct.with(members{"alg": "A256GCM"})), `alg "A256GCM"`},
		"secret, no alg":     {jwkSet(oct.with(members{"alg": nil})), "without an alg"},
	} {
		set, err := ParseKeySet(tt.jwks)
		if err == nil || set != nil || !strings.Contains(err.Error(), tt.why) || !strings.HasPrefix(err.Error(), "authjwt: ") {
			t.Errorf("%s: %v, want %q", name, err, tt.why)
		}
		if err != nil && strings.Contains(err.Error(), oct["k"].(string)) {
			t.Errorf("%s: the error has the secret in it", name)
		}
	}
}

// A secret for something else may stand beside public keys, and the same key twice is one.
func TestParseKeySetTakes(t *testing.T) {
	ec := jwkOf(t, testKeys()["ES256"].public)
	oct := jwkOf(t, secretKey("s", "HS256"))
	for name, jwks := range map[string][]byte{
		"a secret to encrypt": jwkSet(oct.with(members{"use": "enc", "alg": "A256GCM"}), ec),
		"a key twice":         jwkSet(ec, ec, ec.with(members{"x5t": "AAAA"})),
		"256 times":           jwkSet(slices.Repeat([]members{ec}, 256)...),
		"other members":       []byte(`{"keys":[` + string(jsonOf(ec)) + `],"x":{"y":[1,null]}}`),
	} {
		set, err := ParseKeySet(jwks)
		if err != nil || len(set.keys) != 1 || set.keys[0].id != "ES256" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An RSA modulus with a zero in front, as some libraries write it, is the same number.
func TestParseKeySetLeadingZero(t *testing.T) {
	jwk := jwkOf(t, testKeys()["RS256"].public)
	n, err := decode(nil, jwk["n"].(string))
	if err != nil {
		t.Fatal(err)
	}
	if k := parsed(t, jwk.with(members{"n": encode(append([]byte{0}, n...))})); !k.equal(parsed(t, jwk)) {
		t.Error("another key")
	}
}

func TestParseKeySetKeepsNothing(t *testing.T) {
	jwks := jwkSet(jwkOf(t, testKeys()["ES256"].public), members{"kty": "x", "kid": "y"})
	set, err := ParseKeySet(jwks)
	if err != nil {
		t.Fatal(err)
	}
	before := set.Skipped()
	for i := range jwks {
		jwks[i] = 'x'
	}
	set.Skipped()[0] = "changed"
	if found, _ := set.find("ES256", "ES256"); len(found) != 1 || found[0].id != "ES256" || !slices.Equal(set.Skipped(), before) {
		t.Error("the set has changed")
	}
}

func FuzzParseKeySet(f *testing.F) {
	for _, alg := range []string{"RS256", "ES256", "ES512", "EdDSA", "HS256"} {
		jwk := jwkOf(f, testKeys()[alg].public)
		f.Add(jwkSet(jwk))
		f.Add(jwkSet(jwk.with(members{"alg": nil, "use": nil, "key_ops": []string{"verify"}}), members{"kty": "RSA"}))
	}
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`))
	f.Fuzz(func(t *testing.T, jwks []byte) {
		set, err := ParseKeySet(jwks)
		if err != nil {
			if set != nil || !strings.HasPrefix(err.Error(), "authjwt: ") {
				t.Fatalf("%v, %v", set, err)
			}
			return
		}
		if !json.Valid(jwks) || len(set.keys) == 0 || len(set.keys) > maxKeys {
			t.Fatalf("%d keys", len(set.keys))
		}
		var keys []Key
		for _, k := range set.keys {
			keys = append(keys, Key{ID: k.id, Algorithm: k.alg, Key: k.key})
			if found, known := set.find(k.id, k.alg); len(found) == 0 || !known || k.id != "" && found[0] != k {
				t.Fatalf("%q %s is not found", k.id, k.alg)
			}
		}
		if again, err := NewKeySet(keys...); err != nil || !set.equal(again) {
			t.Fatalf("not the same again: %v", err)
		}
	})
}
