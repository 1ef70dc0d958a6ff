package authjwt

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/auth"
)

// A token that was young enough when it was verified grows too old in the cache.
func TestMaxAgeOfCachedTokens(t *testing.T) {
	trust := testTrust(t)
	trust.MaxAge = time.Minute
	v := newVerifier(t, Config{Trust: []Trust{trust}})
	token := good(t)
	for _, tt := range []struct {
		after time.Duration
		ok    bool
	}{{0, true}, {70 * time.Second, true}, {70*time.Second + 1, false}} {
		if _, err := authenticate(t, v, token, at.Add(tt.after)); (err == nil) != tt.ok {
			t.Errorf("%v after iat: %v", tt.after, err)
		}
	}
}

// What ends a KeySource's Refresh ends the caller, and neither the process nor
// nobody: with one source the caller waited forever for its answer, with several
// the panic was in a goroutine that nobody can recover.
func TestRefreshPanicsInTheCaller(t *testing.T) {
	thrown := errors.New("thrown")
	for name, end := range map[string]func(){
		"panic":  func() { panic(thrown) },
		"goexit": runtime.Goexit,
	} {
		for _, others := range []int{0, 1, 2} {
			synctest.Test(t, func(t *testing.T) {
				token := good(t)
				trusts := []Trust{testTrust(t)}
				trusts[0].Keys = &source{refresh: func(context.Context, *KeySet, string) (*KeySet, error) { end(); return nil, nil }}
				for range others {
					other := testTrust(t)
					other.Keys = &source{refresh: func(ctx context.Context, _ *KeySet, _ string) (*KeySet, error) {
						<-ctx.Done()
						return nil, ctx.Err()
					}}
					trusts = append(trusts, other)
				}
				v := newVerifier(t, Config{Trust: trusts})
				returned, recovered := false, any(nil)
				done := make(chan struct{})
				go func() {
					defer close(done)
					defer func() { recovered = recover() }()
					_, _ = v.Authenticate(context.Background(), auth.Credentials{Token: token, At: at})
					returned = true
				}()
				<-done
				if returned || (recovered == thrown) != (name == "panic") {
					t.Errorf("%s beside %d others: returned is %v, recovered %v", name, others, returned, recovered)
				}
			})
		}
	}
}

// A KeySource of a comparable type may hold what is not.
func TestKeySourceThatDoesNotCompare(t *testing.T) {
	set := testSet(t)
	trust := testTrust(t)
	trust.Keys = struct {
		KeySource
		extra any
	}{set, []int{1}}
	v := newVerifier(t, Config{Trust: []Trust{trust, trust}})
	if _, err := authenticate(t, v, good(t), at); err != nil {
		t.Error(err)
	}
}

// What a constructor returned with its error is no key source, and no list.
func TestNewRefusesTypedNil(t *testing.T) {
	trust := testTrust(t)
	trust.Keys = (*JWKS)(nil)
	_, err := New(Config{Trust: []Trust{trust}, Revocations: (*RevocationList)(nil)})
	for _, want := range []string{"Config.Trust[0].Keys is nil", "Config.Revocations is a nil *authjwt.RevocationList"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %q in %v", want, err)
		}
	}
}

// Issuers do not agree on the names of their keys: that one has a key of that name
// is no reason not to ask another one, which has not.
func TestKeyIDOfTwoIssuers(t *testing.T) {
	theirs, err := NewKeySet(Key{ID: "ES256", Key: testKeys()["ES384"].public.Key})
	if err != nil {
		t.Fatal(err)
	}
	for name, before := range map[string]*KeySet{"nothing": nil, "an older set": testSet(t, "EdDSA")} {
		first, second := testTrust(t), testTrust(t)
		first.Issuers, first.Keys = []string{"another"}, theirs
		s := &source{set: before}
		asked := 0
		s.refresh = func(_ context.Context, seen *KeySet, kid string) (*KeySet, error) {
			if asked++; seen != before || kid != "ES256" {
				t.Errorf("%s: asked for %q", name, kid)
			}
			s.set = testSet(t)
			return s.set, nil
		}
		second.Keys = s
		v := newVerifier(t, Config{Trust: []Trust{first, second}})
		if _, err := authenticate(t, v, good(t), at); err != nil || asked != 1 {
			t.Errorf("%s: %v, asked %d times", name, err, asked)
		}
	}
}

// What a token is refused for is what its own issuer's Trust says of it, wherever that stands.
func TestRefusalOfTheTokensIssuer(t *testing.T) {
	own, shared, foreign := testTrust(t), testTrust(t), testTrust(t)
	shared.Issuers = []string{"another"}
	shared.Keys = own.Keys
	set, err := NewKeySet(Key{ID: "ES256", Key: testKeys()["ES384"].public.Key})
	if err != nil {
		t.Fatal(err)
	}
	foreign.Keys = set
	for i, trusts := range [][]Trust{{own, shared, foreign}, {shared, own, foreign}, {foreign, shared, own}, {foreign, own, shared}} {
		v := newVerifier(t, Config{Trust: trusts})
		if _, err := authenticate(t, v, good(t), at.Add(time.Hour)); !errors.Is(err, auth.ErrExpired) {
			t.Errorf("%d: %v", i, err)
		}
	}
}

// A header is read before its signature is checked: whoever sends one may not make us
// read for long. 16 KiB of tiny objects took ten times as long as a signature.
func TestHeaderIsBounded(t *testing.T) {
	pad := func(n int) string { return strings.Repeat("x", n) }
	header := func(extra string) string { return `{"alg":"ES256","kid":"ES256","x":` + extra + "}" }
	chain := `["` + strings.Join([]string{pad(1800), pad(1800), pad(1800)}, `","`) + `"]`
	v := newVerifier(t, Config{})
	for name, tt := range map[string]struct {
		header string
		ok     bool
	}{
		"a chain":       {header(chain), true},
		"long":          {header(`"` + pad(maxHeader*3/4) + `"`), false},
		"61 values":     {header("[0" + strings.Repeat(",0", 60) + "]"), true},
		"62 values":     {header("[0" + strings.Repeat(",0", 61) + "]"), false},
		"objects":       {header(`[{"a":1}` + strings.Repeat(`,{"a":1}`, 40) + "]"), false},
		"long numbers":  {header("[0" + strings.Repeat(",9007199254740993.1", 16) + "]"), false},
		"a long number": {header("1" + strings.Repeat("0", maxNumber)), false},
	} {
		_, err := authenticate(t, v, sign(t, "ES256", tt.header, goodClaims), at)
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The cache keeps to its bytes whatever the claims are made of: lists of small
// objects take a hundred times what they are written in.
func TestCacheBytesOfHostileClaims(t *testing.T) {
	trust := testTrust(t)
	trust.Keys = testSet(t, "HS256")
	for name, unit := range map[string]string{
		"lists": "[1]", "empty lists": "[]", "empty objects": "{}", "objects": `{"a":1}`, "strings": `"s"`, "escapes": `"\n\n"`,
		"larger objects": `{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9}`, "members": "",
	} {
		list := "[" + strings.Repeat(unit+",", 9000/(len(unit)+1)) + "0]"
		if unit == "" {
			var b strings.Builder
			for i := range 1200 {
				fmt.Fprintf(&b, `"%x":%d,`, i, i+1)
			}
			list = "{" + b.String() + `"z":0}`
		}
		const size = 4 << 20
		v := newVerifier(t, Config{Trust: []Trust{trust}, CacheBytes: size})
		before := heapBytes()
		for i := range 300 {
			claims := strings.TrimSuffix(string(jsonOf(goodClaims.with(members{"jti": fmt.Sprint(i)}))), "}") + `,"x":` + list + "}"
			if _, err := authenticate(t, v, sign(t, "HS256", members{"alg": "HS256", "kid": "HS256"}, claims), at); err != nil {
				t.Fatal(err)
			}
		}
		if held := heapBytes() - before; held > size+1<<20 || v.cache.entries == 0 {
			t.Errorf("%s: %d B on the heap for %d, in %d entries", name, held, size, v.cache.entries)
		}
		runtime.KeepAlive(v)
	}
}

// What one token's claims say must not be seen in those of another one, whatever memory
// they were read in.
func TestClaimsDoNotShareMemory(t *testing.T) {
	v := newVerifier(t, Config{})
	first, err := authenticate(t, v, sign(t, "ES256", goodHeader, goodClaims.with(members{"jti": "first", "x": members{"y": []string{"z\n"}}})), at)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		other := goodClaims.with(members{"jti": fmt.Sprint("other", i), "sub": "mallory", "x": members{"y": []string{"?\t"}}})
		if _, err := authenticate(t, v, sign(t, "ES256", goodHeader, other), at); err != nil {
			t.Fatal(err)
		}
	}
	if first.Subject != "alice" || first.Claims["jti"] != "first" || !reflect.DeepEqual(first.Claims["x"], map[string]any{"y": []any{"z\n"}}) {
		t.Errorf("%+v", first)
	}
}

// counts is a checker that counts.
type counts struct {
	checker
	n *int
}

func (c counts) check(signed string, sig []byte) bool {
	*c.n++
	return c.checker.check(signed, sig)
}

// A forged token costs one check by each set of keys that has one of its name, however
// many trusts there are, and are asked for newer keys.
func TestForgedTokenCostsOneCheckASet(t *testing.T) {
	n := 0
	var trusts []Trust
	for i := range 12 {
		trust := testTrust(t)
		trust.Keys = testSet(t, "EdDSA") // which lacks the key, and each is asked
		if i%3 == 0 {
			set := testSet(t, "ES256")
			set.keys[0].checker = counts{set.keys[0].checker, &n}
			trust.Keys = set
			trusts = append(trusts, trust) // twice
		}
		trusts = append(trusts, trust)
	}
	v := newVerifier(t, Config{Trust: trusts})
	forged := good(t)
	forged = forged[:len(forged)-8] + "AAAAAAAA"
	if _, err := authenticate(t, v, forged, at); !errors.Is(err, auth.ErrInvalid) || !strings.Contains(err.Error(), "bad signature") || n != 4 {
		t.Errorf("%v, after %d checks", err, n)
	}
}

// Issuers may share keys, each behind a source of its own, as Entra's v1 and v2 do: that
// the other one has a new key already is no reason not to ask the token's own for it.
func TestSharedKeyThatOneSourceLacks(t *testing.T) {
	down := &auth.Error{Cause: auth.ErrUnavailable}
	for name, before := range map[string]*KeySet{"nothing": nil, "an older set": testSet(t, "EdDSA")} {
		for _, want := range []error{nil, down} {
			first, own := testTrust(t), testTrust(t)
			first.Issuers = []string{"another"}
			asked := 0
			s := &source{set: before}
			s.refresh = func(context.Context, *KeySet, string) (*KeySet, error) {
				if asked++; want != nil {
					return nil, want
				}
				s.set = testSet(t)
				return s.set, nil
			}
			own.Keys = s
			for _, trusts := range [][]Trust{{first, own}, {own, first}} {
				s.set, asked = before, 0
				v := newVerifier(t, Config{Trust: trusts})
				if _, err := authenticate(t, v, good(t), at); !errors.Is(err, want) || asked != 1 {
					t.Errorf("%s: %v, want %v, asked %d times", name, err, want, asked)
				}
				// Its own issuer's word on a token is the last, and nobody's token asks for keys.
				for _, claims := range []members{{"iss": "another", "exp": at.Unix() - 60}, {"iss": "nobody"}} {
					s.set, asked = before, 0
					if _, err := authenticate(t, v, sign(t, "ES256", goodHeader, goodClaims.with(claims)), at); !errors.Is(err, auth.ErrInvalid) || asked != 0 {
						t.Errorf("%s: %v: %v, asked %d times", name, claims, err, asked)
					}
				}
			}
		}
	}
}
