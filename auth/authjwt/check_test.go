package authjwt

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// checkedKey returns the checked public key of testKeys.
func checkedKey(t testing.TB, alg string) *verifyKey {
	t.Helper()
	k, err := testKeys()[alg].public.check()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sameJudgement fails t if k judges otherwise than golang-jwt, the reference.
func sameJudgement(t *testing.T, alg string, k *verifyKey, signed string, sig []byte) {
	t.Helper()
	err := k.verify(signed, sig)
	if err != nil && !errors.Is(err, errSignature) {
		t.Fatal(err)
	}
	reference := testKeys()[alg].method.Verify(signed, sig, testKeys()[alg].public.Key)
	if (err == nil) != (reference == nil) {
		t.Errorf("%s: %v for the signature %x, and golang-jwt has %v", alg, err, sig, reference)
	}
}

// mutants returns signatures that are like sig, and are not.
func mutants(sig []byte, r *mathrand.Rand) [][]byte {
	half := len(sig) / 2
	all := [][]byte{
		nil, {}, {0}, sig[1:], sig[:len(sig)-1], sig[:half],
		append([]byte{0}, sig...), append(slices.Clone(sig), 0), append(slices.Clone(sig), sig...),
		make([]byte, len(sig)), bytes.Repeat([]byte{0xff}, len(sig)), bytes.Repeat([]byte{0x80}, len(sig)),
		slices.Concat(sig[half:], sig[:half]), slices.Concat(make([]byte, half), sig[half:]), slices.Concat(sig[:half], make([]byte, len(sig)-half)),
	}
	for range 15 {
		m := slices.Clone(sig)
		m[r.IntN(len(m))] ^= 1 << r.IntN(8)
		all = append(all, m)
	}
	return all
}

func TestVerifyLikeGolangJWT(t *testing.T) {
	r := mathrand.New(mathrand.NewPCG(1, 2))
	for alg, pair := range testKeys() {
		k := checkedKey(t, alg)
		for _, size := range []int{0, 1024, 2500} {
			signed := strings.Repeat("a.b", size/3+1)[:size]
			sig, err := pair.method.Sign(signed, pair.private)
			if err != nil {
				t.Fatal(err)
			}
			if err := k.verify(signed, sig); err != nil {
				t.Errorf("%s: a good signature of %d bytes: %v", alg, size, err)
			}
			sameJudgement(t, alg, k, signed+"x", sig)
			for _, m := range mutants(sig, r) {
				sameJudgement(t, alg, k, signed, m)
			}
		}
	}
}

// Halves with a zero in front are a few of a hundred signatures.
func TestVerifyECDSAHalves(t *testing.T) {
	for alg, n := range map[string]int{"ES256": 400, "ES384": 20, "ES512": 20} { // of ES512 the first byte is mostly 0
		k, pair := checkedKey(t, alg), testKeys()[alg]
		for i := range n {
			signed := strings.Repeat("a", i)
			sig, err := pair.method.Sign(signed, pair.private)
			if err != nil {
				t.Fatal(err)
			}
			if err := k.verify(signed, sig); err != nil {
				t.Errorf("%s: %x: %v", alg, sig, err)
			}
		}
	}
}

// The "psychic" signatures of CVE-2022-21449 and their like: r or s is 0, 1,
// the group's order or next to it.
func TestVerifyPsychic(t *testing.T) {
	for alg, curve := range map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()} {
		k := checkedKey(t, alg)
		half := (curve.Params().BitSize + 7) / 8
		order := curve.Params().N
		var numbers [][]byte
		for _, n := range []int64{0, 1, 2} {
			small := make([]byte, half)
			small[half-1] = byte(n)
			below := order.FillBytes(make([]byte, half))
			below[half-1] -= byte(n)
			numbers = append(numbers, small, below)
		}
		for _, r := range numbers {
			for _, s := range numbers {
				if k.verify("a.b", slices.Concat(r, s)) == nil {
					t.Errorf("%s: %x, %x is taken for a signature", alg, r, s)
				}
			}
		}
	}
}

// RFC 7518 §3.5 wants a salt as long as the hash; golang-jwt takes any.
func TestVerifyPSSSalt(t *testing.T) {
	for alg, hash := range map[string]crypto.Hash{"PS256": crypto.SHA256, "PS384": crypto.SHA384, "PS512": crypto.SHA512} {
		k, pair := checkedKey(t, alg), testKeys()[alg]
		h := hash.New()
		h.Write([]byte("a.b"))
		for _, salt := range []int{1, 20, hash.Size() - 1, hash.Size(), hash.Size() + 1, rsa.PSSSaltLengthAuto} {
			sig, err := rsa.SignPSS(rand.Reader, pair.private.(*rsa.PrivateKey), hash, h.Sum(nil), &rsa.PSSOptions{SaltLength: salt})
			if err != nil {
				t.Fatal(err)
			}
			if err := k.verify("a.b", sig); (err == nil) != (salt == hash.Size()) {
				t.Errorf("%s: salt of %d bytes: %v", alg, salt, err)
			}
			if err := pair.method.Verify("a.b", sig, pair.public.Key); err != nil {
				t.Errorf("%s: golang-jwt: %v", alg, err)
			}
		}
	}
}

// What is kept between checks belongs to one of them at a time.
func TestVerifyConcurrently(t *testing.T) {
	for _, alg := range []string{"HS256", "ES256"} {
		k, pair := checkedKey(t, alg), testKeys()[alg]
		var wg sync.WaitGroup
		for i := range 8 {
			signed := strings.Repeat(string(rune('a'+i)), 1500+i)
			sig, err := pair.method.Sign(signed, pair.private)
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				for range 50 {
					if k.verify(signed, sig) != nil || k.verify(signed+"x", sig) == nil {
						t.Error(alg, "is judged wrongly beside others")
						return
					}
				}
			})
		}
		wg.Wait()
	}
}

func TestVerifyAllocations(t *testing.T) {
	if raceEnabled {
		t.Log("not measured: the race detector makes pools forget")
		return
	}
	for alg, most := range map[string]float64{"HS256": 0, "HS512": 0, "EdDSA": 1, "RS256": 12, "ES256": 12} { // of golang-jwt: 7, 7, 1, 12, 24
		pair := testKeys()[alg]
		set, err := NewKeySet(pair.public)
		if err != nil {
			t.Fatal(err)
		}
		signed := strings.Repeat("a", 720)
		sig, err := pair.method.Sign(signed, pair.private)
		if err != nil {
			t.Fatal(err)
		}
		least := most + 1
		for range 3 { // what other tests left running allocates, too
			least = min(least, leastAllocs(func() {
				found, _ := set.find(alg, alg)
				if found[0].verify(signed, sig) != nil {
					t.Error(alg, "is not verified")
				}
			}))
		}
		if least > most {
			t.Errorf("%s: more than %v allocations", alg, most)
		}
	}
}

func FuzzVerifyECDSA(f *testing.F) {
	for _, alg := range []string{"ES256", "ES384", "ES512"} {
		pair := testKeys()[alg]
		sig, err := pair.method.Sign("a.b", pair.private)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(sig)
		f.Add(make([]byte, len(sig)))
	}
	f.Fuzz(func(t *testing.T, sig []byte) {
		for _, alg := range []string{"ES256", "ES384", "ES512"} {
			sameJudgement(t, alg, checkedKey(t, alg), "a.b", sig)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	for _, alg := range []string{"HS256", "RS256", "PS256", "ES256", "EdDSA"} {
		pair := testKeys()[alg]
		k := checkedKey(b, alg)
		signed := strings.Repeat("a", 720)
		sig, err := pair.method.Sign(signed, pair.private)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(alg+"/golang-jwt", func(b *testing.B) { benchmarkVerify(b, pair.method, pair.public.Key, signed, sig) })
		b.Run(alg+"/ballast", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if k.verify(signed, sig) != nil {
					b.Fatal("not verified")
				}
			}
		})
	}
}

func benchmarkVerify(b *testing.B, method jwt.SigningMethod, key any, signed string, sig []byte) {
	b.ReportAllocs()
	for b.Loop() {
		if method.Verify(signed, sig, key) != nil {
			b.Fatal("not verified")
		}
	}
}
