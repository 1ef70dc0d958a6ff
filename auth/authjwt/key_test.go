package authjwt

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"math/big"
	"strings"
	"testing"
)

// odd returns an odd number of that many bits, as random as a modulus.
func odd(t testing.TB, bits int) *big.Int {
	t.Helper()
	b := make([]byte, (bits+7)/8)
	_, _ = rand.Read(b)
	n := new(big.Int).SetBytes(b)
	n.Rsh(n, uint(8*len(b)-bits))
	return n.SetBit(n.SetBit(n, bits-1, 1), 0, 1)
}

func TestKeyRefuses(t *testing.T) {
	n := odd(t, 2048)
	rsaKey := func(bits int) *rsa.PublicKey { return &rsa.PublicKey{N: odd(t, bits), E: 65537} }
	ec := testKeys()["ES256"].public.Key
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private := testKeys()["RS256"].private
	for name, tt := range map[string]struct {
		key Key
		why string
	}{
		"nothing":            {Key{}, "Key is nil"},
		"nil":                {Key{Algorithm: "RS256"}, "Key is nil"},
		"unknown algorithm":  {Key{Algorithm: "ES256K", Key: ec}, `"ES256K" is not supported`},
		"none":               {Key{Algorithm: "none", Key: []byte{}}, `"none" is not supported`},
		"lower case":         {Key{Algorithm: "es256", Key: ec}, `"es256" is not supported`},
		"string":             {Key{Algorithm: "HS256", Key: strings.Repeat("x", 32)}, "Key is a string"},
		"private RSA":        {Key{Algorithm: "RS256", Key: private}, "Key is a *rsa.PrivateKey"},
		"RSA as a value":     {Key{Algorithm: "RS256", Key: *rsaKey(2048)}, "Key is a rsa.PublicKey"},
		"RSA nil":            {Key{Algorithm: "RS256", Key: (*rsa.PublicKey)(nil)}, "empty"},
		"RSA empty":          {Key{Algorithm: "RS256", Key: &rsa.PublicKey{}}, "empty"},
		"RSA 0":              {Key{Algorithm: "RS256", Key: &rsa.PublicKey{N: new(big.Int), E: 65537}}, "odd positive"},
		"RSA negative":       {Key{Algorithm: "RS256", Key: &rsa.PublicKey{N: new(big.Int).Neg(n), E: 65537}}, "odd positive"},
		"RSA even":           {Key{Algorithm: "RS256", Key: &rsa.PublicKey{N: new(big.Int).Lsh(n, 1), E: 65537}}, "odd positive"},
		"RSA 1024":           {Key{Algorithm: "RS256", Key: rsaKey(1024)}, "RSA of 1024 bits"},
		"RSA 2047":           {Key{Algorithm: "RS256", Key: rsaKey(2047)}, "RSA of 2047 bits"},
		"RSA 8193":           {Key{Algorithm: "RS256", Key: rsaKey(8193)}, "RSA of 8193 bits"},
		"RSA e=0":            {Key{Algorithm: "RS256", Key: &rsa.PublicKey{N: n}}, "exponent"},
		"RSA e=1":            {Key{Algorithm: "RS256", Key: &rsa.PublicKey{N: n, E: 1}}, "exponent"},
		"RSA e=2":            {Key{Algorithm: "RS256", Key: &rsa.PublicKey{N: n, E: 2}}, "exponent"},
		"RSA e even":         {Key{Algorithm: "RS256", Key: &rsa.PublicKey{N: n, E: 65536}}, "exponent"},
		"RSA e negative":     {Key{Algorithm: "RS256", Key: &rsa.PublicKey{N: n, E: -3}}, "exponent"},
		"RSA without alg":    {Key{Key: rsaKey(2048)}, "good for several"},
		"secret without alg": {Key{Key: make([]byte, 64)}, "good for several"},
		"RSA for HS256":      {Key{Algorithm: "HS256", Key: rsaKey(2048)}, "not one for HS256"},
		"RSA for ES256":      {Key{Algorithm: "ES256", Key: rsaKey(2048)}, "not one for ES256"},
		"secret for RS256":   {Key{Algorithm: "RS256", Key: make([]byte, 64)}, "not one for RS256"},
		"EC for RS256":       {Key{Algorithm: "RS256", Key: ec}, "not one for RS256"},
		"EC for ES384":       {Key{Algorithm: "ES384", Key: ec}, "not one for ES384"},
		"EC for EdDSA":       {Key{Algorithm: "EdDSA", Key: ec}, "not one for EdDSA"},
		"EC nil":             {Key{Key: (*ecdsa.PublicKey)(nil)}, "P-256, P-384 or P-521"},
		"EC empty":           {Key{Key: &ecdsa.PublicKey{}}, "P-256, P-384 or P-521"},
		"EC without a point": {Key{Key: &ecdsa.PublicKey{Curve: elliptic.P256()}}, "not a point"},
		"P-224":              {Key{Key: &p224.PublicKey}, "P-256, P-384 or P-521"},
		"Ed25519 short":      {Key{Key: ed25519.PublicKey(make([]byte, 31))}, "31 bytes"},
		"Ed25519 nil":        {Key{Key: ed25519.PublicKey(nil)}, "0 bytes"},
		"Ed25519 zeros":      {Key{Key: ed25519.PublicKey(make([]byte, 32))}, "anybody can sign"},
		"short secret":       {Key{Algorithm: "HS384", Key: make([]byte, 47)}, "47 bytes"},
		"zero secret":        {Key{Algorithm: "HS384", Key: make([]byte, 48)}, "padded"},
		"long kid":           {Key{ID: strings.Repeat("k", 513), Key: ec}, "513 bytes"},
	} {
		set, err := NewKeySet(tt.key)
		if err == nil || set != nil || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%s: %v, want %q", name, err, tt.why)
		}
	}
}

func TestKeyBounds(t *testing.T) {
	for _, key := range []Key{
		{Algorithm: "RS256", Key: &rsa.PublicKey{N: odd(t, 2048), E: 3}},
		{Algorithm: "PS512", Key: &rsa.PublicKey{N: odd(t, 8192), E: 1<<31 - 1}},
		{ID: strings.Repeat("k", 512), Key: testKeys()["ES256"].public.Key},
	} {
		if _, err := NewKeySet(key); err != nil {
			t.Error(err)
		}
	}
}

// A set does not change with what it was made of.
func TestKeyIsCopied(t *testing.T) {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	rsaKey := *testKeys()["RS256"].public.Key.(*rsa.PublicKey)
	rsaKey.N = new(big.Int).Set(rsaKey.N)
	ecKey := *testKeys()["ES256"].public.Key.(*ecdsa.PublicKey)
	edKey := append(ed25519.PublicKey(nil), testKeys()["EdDSA"].public.Key.(ed25519.PublicKey)...)
	keys := []Key{
		{Algorithm: "HS256", Key: secret}, {Algorithm: "RS256", Key: &rsaKey}, {Key: &ecKey}, {Key: edKey},
	}
	var before []*KeySet
	for _, k := range keys {
		set, err := NewKeySet(k)
		if err != nil {
			t.Fatal(err)
		}
		before = append(before, set)
	}
	hs, err := testKeys()["HS256"].method.Sign("a.b", append([]byte(nil), secret...))
	if err != nil {
		t.Fatal(err)
	}
	clear(secret)
	rsaKey.N.SetInt64(1)
	rsaKey.E = 1
	ecKey = ecdsa.PublicKey{}
	clear(edKey)
	for i, alg := range []string{"HS256", "RS256", "ES256", "EdDSA"} {
		sig := hs
		if i > 0 {
			pair := testKeys()[alg]
			if sig, err = pair.method.Sign("a.b", pair.private); err != nil {
				t.Fatal(err)
			}
		}
		found, _ := before[i].find("", alg)
		if len(found) != 1 || found[0].verify("a.b", sig) != nil {
			t.Errorf("%s: the key has changed", alg)
		}
	}
}

// A modulus as Infineon's library made it, and those of others.
func TestROCA(t *testing.T) {
	product := big.NewInt(1)
	for p := int64(3); p <= 167; p += 2 {
		if big.NewInt(p).ProbablyPrime(10) {
			product.Mul(product, big.NewInt(p))
		}
	}
	n := new(big.Int).Exp(big.NewInt(65537), big.NewInt(123456789), product)
	factor := odd(t, 2047-product.BitLen())
	n.Add(n, factor.Mul(factor, product)) // without changing the rests
	for n.BitLen() < 2048 || n.Bit(0) == 0 {
		n.Add(n, product)
		if n.BitLen() < 2048 {
			n.Add(n, new(big.Int).Mul(product, new(big.Int).Lsh(big.NewInt(1), uint(2047-product.BitLen()))))
		}
	}
	_, err := NewKeySet(Key{Algorithm: "RS256", Key: &rsa.PublicKey{N: n, E: 65537}})
	if err == nil || !strings.Contains(err.Error(), "factored") {
		t.Errorf("%d bits: %v", n.BitLen(), err)
	}
	for range 1000 {
		if n := odd(t, 2048); roca(n) {
			t.Errorf("%d is taken for one", n)
		}
	}
}

// The points of an order that divides 8, and what else encodes them. With such
// a key, R the neutral element and S = 0 are a signature of one message in
// eight or more.
func TestEd25519SmallOrder(t *testing.T) {
	sig := make([]byte, 64)
	sig[0] = 1
	for _, s := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	} {
		key, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		forged := false
		for i := byte(0); i < 200 && !forged; i++ {
			forged = ed25519.Verify(key, []byte{i}, sig)
		}
		if !forged {
			t.Errorf("%s: nobody can sign for it; the test is wrong", s)
		}
		if goodEd25519(key) {
			t.Errorf("%s is taken", s)
		}
	}
}

func TestEd25519(t *testing.T) {
	good := 0
	for range 200 {
		key, _, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if !goodEd25519(key) {
			t.Errorf("%x is refused", key)
		}
		_, _ = rand.Read(key)
		if goodEd25519(key) {
			good++
		}
	}
	if good < 60 || good > 140 { // 1 in 10⁸ chances each
		t.Errorf("of 200 random encodings %d are points; about half should be", good)
	}
}
