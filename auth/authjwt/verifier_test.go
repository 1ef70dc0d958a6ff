package authjwt

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/ballast-go/ballast/auth"
)

func TestVerifier(t *testing.T) {
	v := newVerifier(t, Config{})
	for alg := range testKeys() {
		if strings.HasPrefix(alg, "HS") {
			continue
		}
		for range 2 { // the second from the cache
			p, err := authenticate(t, v, sign(t, alg, goodHeader.with(members{"alg": alg, "kid": alg}), goodClaims), at)
			if err != nil {
				t.Fatalf("%s: %v", alg, err)
			}
			if p.Subject != "alice" || p.Issuer != "https://issuer.example" || p.Method != auth.MethodJWT || !p.ExpiresAt.Equal(at.Add(15*time.Minute)) ||
				!reflect.DeepEqual(p.Roles, []string{"predictor"}) || !reflect.DeepEqual(p.Scopes, []string{"models.read", "models.predict"}) || p.Claims["jti"] != "0123456789" {
				t.Errorf("%s: %+v", alg, p)
			}
		}
	}
	for _, alg := range []string{"HS256", "HS384", "HS512"} {
		trust := testTrust(t)
		trust.Keys = testSet(t, alg)
		v := newVerifier(t, Config{Trust: []Trust{trust}})
		if _, err := authenticate(t, v, sign(t, alg, members{"alg": alg, "kid": alg}, goodClaims), at); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

// What is told apart from a token that is not good.
func TestVerifierNoCredential(t *testing.T) {
	v := newVerifier(t, Config{})
	for _, token := range []string{"", "sk_live_0123", "a.b", "a.b.c.d", "a.b.c.d.e", `{"payload":"x"}`} {
		if _, err := authenticate(t, v, token, at); !errors.Is(err, auth.ErrNoCredential) {
			t.Errorf("%q: %v", token, err)
		}
	}
}

func TestVerifierRefuses(t *testing.T) {
	v := newVerifier(t, Config{})
	h, c := goodHeader, goodClaims
	with := func(header, claims members) string { return sign(t, "ES256", h.with(header), c.with(claims)) }
	token := good(t)
	part := strings.Split(token, ".")
	other := strings.Split(with(nil, members{"sub": "mallory"}), ".")
	pub := testKeys()["RS256"].public.Key
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	confused := func(secret []byte) string {
		signed := encode(jsonOf(members{"alg": "HS256", "kid": "RS256"})) + "." + part[1]
		sig, err := jwt.SigningMethodHS256.Sign(signed, secret)
		if err != nil {
			t.Fatal(err)
		}
		return signed + "." + encode(sig)
	}
	for name, token := range map[string]string{
		"none":             encode(jsonOf(h.with(members{"alg": "none"}))) + "." + part[1] + ".",
		"none, signed":     encode(jsonOf(h.with(members{"alg": "none"}))) + "." + part[1] + "." + part[2],
		"None":             encode(jsonOf(h.with(members{"alg": "None"}))) + "." + part[1] + "." + part[2],
		"no alg":           with(members{"alg": nil}, nil),
		"alg a number":     with(members{"alg": 1}, nil),
		"alg a list":       with(members{"alg": []string{"ES256"}}, nil),
		"alg of other key": sign(t, "RS256", h, c),
		"kid of other key": sign(t, "RS256", h.with(members{"alg": "RS256"}), c),
		"lower case alg":   with(members{"alg": "es256"}, nil),
		"RS to HS, DER":    confused(der),
		"RS to HS, PEM":    confused(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"RS to PS":         sign(t, "PS256", h.with(members{"alg": "PS256", "kid": "RS256"}), c),
		"psychic zeros":    part[0] + "." + part[1] + "." + encode(make([]byte, 64)),
		"signature cut":    part[0] + "." + part[1] + "." + part[2][:84],
		"signature ASN.1":  part[0] + "." + part[1] + "." + encode([]byte{0x30, 6, 2, 1, 1, 2, 1, 1}),
		"no signature":     part[0] + "." + part[1] + ".",
		"no payload":       part[0] + ".." + part[2],
		"no header":        "." + part[1] + "." + part[2],
		"dots only":        "..",
		"other payload":    part[0] + "." + other[1] + "." + part[2],
		"other header":     encode(jsonOf(h.with(members{"typ": "at+jwt"}))) + "." + part[1] + "." + part[2],
		"padding":          part[0] + "." + part[1] + "." + part[2] + "==",
		"padded header":    part[0] + "=." + part[1] + "." + part[2],
		"line end":         part[0] + "\n." + part[1] + "." + part[2],
		"line end in sig":  part[0] + "." + part[1] + "." + part[2][:10] + "\r\n" + part[2][10:],
		"space":            part[0] + ". " + part[1] + "." + part[2],
		"base64, not url":  part[0] + "." + part[1] + "." + "+/" + part[2][2:],
		"odd length":       part[0] + "." + part[1] + "." + part[2][:len(part[2])-1],
		"trailing bits":    part[0] + "." + part[1] + "." + part[2][:85] + trailing(part[2][85]),
		"unknown kid":      with(members{"kid": "unknown"}, nil),
		"kid traversal":    with(members{"kid": "../../../../dev/null"}, nil),
		"kid injection":    with(members{"kid": "' UNION SELECT 'ES256"}, nil),
		"kid empty":        with(members{"kid": ""}, nil),
		"kid a number":     with(members{"kid": 1}, nil),
		"kid long":         with(members{"kid": strings.Repeat("k", 1000)}, nil),
		"crit unknown":     with(members{"crit": []string{"exp"}, "exp": 1}, nil),
		"crit empty":       with(members{"crit": []string{}}, nil),
		"crit null":        sign(t, "ES256", `{"alg":"ES256","kid":"ES256","crit":null}`, c),
		"b64 false":        with(members{"b64": false}, nil),
		"b64 critical":     with(members{"b64": false, "crit": []string{"b64"}}, nil),
		"nested":           with(members{"cty": "JWT"}, nil),
		"typ other":        with(members{"typ": "rt+jwt"}, nil),
		"typ a number":     with(members{"typ": 1}, nil),
		"typ empty":        with(members{"typ": ""}, nil),
		"header twice alg": sign(t, "ES256", `{"alg":"none","alg":"ES256","kid":"ES256"}`, c),
		"header twice jku": sign(t, "ES256", `{"alg":"ES256","kid":"ES256","jku":"a","jku":"b"}`, c),
		"header a list":    sign(t, "ES256", `["ES256"]`, c),
		"header no JSON":   sign(t, "ES256", `{"alg":"ES256","kid":"ES256"`, c),
		"header UTF-8":     sign(t, "ES256", "{\"alg\":\"ES256\",\"kid\":\"ES256\",\"x\":\"\xff\"}", c),
		"claims twice":     sign(t, "ES256", h, `{"sub":"a","sub":"b"}`),
		"claims UTF-8":     sign(t, "ES256", h, "{\"sub\":\"\xff\"}"),
		"claims a string":  sign(t, "ES256", h, `"claims"`),
		"claims and more":  sign(t, "ES256", h, string(jsonOf(c))+"{}"),
		"no exp":           with(nil, members{"exp": nil}),
		"exp null":         sign(t, "ES256", h, strings.Replace(string(jsonOf(c)), fmt.Sprint(at.Unix()+900), "null", 1)),
		"exp a string":     with(nil, members{"exp": fmt.Sprint(at.Unix() + 900)}),
		"exp 1e18":         with(nil, members{"exp": 1e18}),
		"exp in ms":        with(nil, members{"exp": at.UnixMilli() + 900_000}),
		"exp negative":     with(nil, members{"exp": -1}),
		"exp a list":       with(nil, members{"exp": []int64{at.Unix() + 900}}),
		"nbf later":        with(nil, members{"nbf": at.Unix() + 11}),
		"nbf a string":     with(nil, members{"nbf": "0"}),
		"iat later":        with(nil, members{"iat": at.Unix() + 11}),
		"iat a bool":       with(nil, members{"iat": true}),
		"no iss":           with(nil, members{"iss": nil}),
		"iss other":        with(nil, members{"iss": "https://issuer.example/"}),
		"iss case":         with(nil, members{"iss": "https://Issuer.example"}),
		"iss a list":       with(nil, members{"iss": []string{"https://issuer.example"}}),
		"no aud":           with(nil, members{"aud": nil}),
		"aud null":         sign(t, "ES256", h, strings.Replace(string(jsonOf(c)), `"models"`, "null", 1)),
		"aud other":        with(nil, members{"aud": "others"}),
		"aud prefix":       with(nil, members{"aud": "models2"}),
		"aud empty list":   with(nil, members{"aud": []string{}}),
		"aud mixed list":   with(nil, members{"aud": []any{"models", 1}}),
		"aud an object":    with(nil, members{"aud": members{"models": true}}),
		"client for aud":   with(nil, members{"aud": nil, "client_id": "models"}),
		"no sub":           with(nil, members{"sub": nil}),
		"sub empty":        with(nil, members{"sub": ""}),
		"sub a number":     with(nil, members{"sub": 7}),
		"roles a number":   with(nil, members{"roles": 7}),
		"roles mixed":      with(nil, members{"roles": []any{"a", 7}}),
		"scope an object":  with(nil, members{"scope": members{}}),
		"too long":         with(nil, members{"x": strings.Repeat("x", 16<<10)}),
		"signature long":   part[0] + "." + part[1] + "." + encode(make([]byte, 2048)),
	} {
		p, err := authenticate(t, v, token, at)
		if !errors.Is(err, auth.ErrInvalid) || p != nil {
			t.Errorf("%s: %v, %v", name, p, err)
		}
		if err != nil && (strings.Contains(err.Error(), part[1]) || strings.Contains(err.Error(), part[2])) {
			t.Errorf("%s: the error has the token in it: %v", name, err)
		}
	}
	if s := v.Stats(); s.Verified != 0 || s.Refused < 70 || s.Unavailable != 0 {
		t.Errorf("%+v", s)
	}
}

// trailing returns the base64url digit after c, which differs in bits that
// encode nothing.
func trailing(c byte) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(digits[strings.IndexByte(digits, c)+1])
}

// Keys that a token brings or points at are not looked at, nor are they reason
// to refuse it: providers send x5t and x5c.
func TestVerifierIgnoresKeysInTheHeader(t *testing.T) {
	v := newVerifier(t, Config{})
	extra := members{"jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/", "jwk": members{"kty": "oct", "k": "AAAA"}, "x5c": []string{"AAAA"}, "x5t": "AAAA"}
	if _, err := authenticate(t, v, sign(t, "ES256", goodHeader.with(extra), goodClaims), at); err != nil {
		t.Error(err)
	}
	if _, err := authenticate(t, v, sign(t, "ES384", goodHeader.with(extra).with(members{"alg": "ES384"}), goodClaims), at); !errors.Is(err, auth.ErrInvalid) {
		t.Error(err)
	}
}

// The claims of a token are not read before its signature is good.
func TestVerifierSignatureFirst(t *testing.T) {
	v := newVerifier(t, Config{})
	token := sign(t, "ES256", goodHeader, `{"sub":"a","sub":"b"`)
	if _, err := authenticate(t, v, token[:len(token)-4]+"AAAA", at); err == nil || !strings.Contains(err.Error(), "bad signature") {
		t.Error(err)
	}
}

func TestVerifierTimes(t *testing.T) {
	v := newVerifier(t, Config{Leeway: time.Minute, CacheEntries: -1})
	for _, tt := range []struct {
		claims members
		at     time.Duration
		err    error
	}{
		{nil, 15*time.Minute + 59*time.Second, nil},
		{nil, 16 * time.Minute, auth.ErrExpired},
		{members{"exp": float64(at.Unix()) + 0.5}, 60*time.Second + 499*time.Millisecond, nil},
		{members{"exp": float64(at.Unix()) + 0.5}, 60*time.Second + 500*time.Millisecond, auth.ErrExpired},
		{members{"exp": 0}, 0, auth.ErrExpired},
		{members{"exp": latest}, 0, nil},
		{members{"exp": latest + 1}, 0, auth.ErrInvalid},
		{nil, -time.Minute, nil},
		{nil, -time.Minute - 1, auth.ErrInvalid},
		{members{"nbf": nil, "iat": nil}, -365 * 24 * time.Hour, nil},
	} {
		_, err := authenticate(t, v, sign(t, "ES256", goodHeader, goodClaims.with(tt.claims)), at.Add(tt.at))
		if !errors.Is(err, tt.err) {
			t.Errorf("%v at %v: %v, want %v", tt.claims, tt.at, err, tt.err)
		}
	}
	trust := testTrust(t)
	trust.MaxAge = time.Hour
	v = newVerifier(t, Config{Trust: []Trust{trust}, Leeway: -1})
	for claims, ok := range map[*members]bool{
		{"iat": at.Unix() - 3600}: true, {"iat": at.Unix() - 3601}: false, {"iat": nil}: false,
	} {
		_, err := authenticate(t, v, sign(t, "ES256", goodHeader, goodClaims.with(*claims)), at)
		if (err == nil) != ok {
			t.Errorf("MaxAge, %v: %v", *claims, err)
		}
	}
}

// Without Credentials.At the clock counts.
func TestVerifierClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVerifier(t, Config{Leeway: -1})
		token := sign(t, "ES256", goodHeader, goodClaims.with(members{"iat": nil, "nbf": nil, "exp": time.Now().Unix() + 60}))
		for _, want := range []error{nil, nil, auth.ErrExpired} {
			if _, err := authenticate(t, v, token, time.Time{}); !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
			<-time.After(30 * time.Second)
		}
	})
}

func TestVerifierTrust(t *testing.T) {
	for name, tt := range map[string]struct {
		trust  Trust
		header members
		claims members
		ok     bool
	}{
		"aud list":          {Trust{}, nil, members{"aud": []string{"x", "models"}}, true},
		"algorithm":         {Trust{Algorithms: []string{"ES256"}}, nil, nil, true},
		"other algorithm":   {Trust{Algorithms: []string{"RS256"}}, nil, nil, false},
		"type":              {Trust{Types: []string{"application/AT+JWT"}}, members{"typ": "at+jwt"}, nil, true},
		"long type":         {Trust{Types: []string{"at+jwt"}}, members{"typ": "application/at+jwt"}, nil, true},
		"other type":        {Trust{Types: []string{"at+jwt"}}, nil, nil, false},
		"type missing":      {Trust{Types: []string{"at+jwt"}}, members{"typ": nil}, nil, false},
		"no type":           {Trust{}, members{"typ": nil}, nil, true},
		"client":            {Trust{ClientIDs: []string{"c"}}, nil, members{"aud": nil, "client_id": "c"}, true},
		"other client":      {Trust{ClientIDs: []string{"c"}}, nil, members{"aud": nil, "client_id": "d"}, false},
		"client, other aud": {Trust{ClientIDs: []string{"c"}}, nil, members{"aud": "x", "client_id": "c"}, false},
		"claim":             {Trust{Claims: map[string][]string{"token_use": {"x", "access"}}}, nil, members{"token_use": "access"}, true},
		"claim list":        {Trust{Claims: map[string][]string{"amr": {"mfa"}}}, nil, members{"amr": []string{"pwd", "mfa"}}, true},
		"claim bool":        {Trust{Claims: map[string][]string{"email_verified": {"true"}}}, nil, members{"email_verified": true}, true},
		"claim false":       {Trust{Claims: map[string][]string{"email_verified": {"true"}}}, nil, members{"email_verified": false}, false},
		"claim deep":        {Trust{Claims: map[string][]string{"a.b": {"c"}}}, nil, members{"a": members{"b": "c"}}, true},
		"claim with dots":   {Trust{Claims: map[string][]string{"kubernetes.io.namespace": {"n"}}}, nil, members{"kubernetes.io": members{"namespace": "n"}}, true},
		"claim in dots":     {Trust{Claims: map[string][]string{"a.b.c.d": {"n"}}}, nil, members{"a.b": 1, "a": members{"b.c": members{"e": "n"}, "b": members{"c": members{"d": "n"}}}}, true},
		"claim not so deep": {Trust{Claims: map[string][]string{"a.b.c": {"n"}}}, nil, members{"a": members{"b": "n"}}, false},
		"claim other":       {Trust{Claims: map[string][]string{"token_use": {"access"}}}, nil, members{"token_use": "id"}, false},
		"claim missing":     {Trust{Claims: map[string][]string{"token_use": {"access"}}}, nil, nil, false},
		"claim number":      {Trust{Claims: map[string][]string{"n": {"1"}}}, nil, members{"n": 1}, false},
		"tenant":            {Trust{Issuers: []string{"https://login.example/{tid}/v2.0"}}, nil, members{"iss": "https://login.example/t1/v2.0", "tid": "t1"}, true},
		"other tenant":      {Trust{Issuers: []string{"https://login.example/{tid}/v2.0"}}, nil, members{"iss": "https://login.example/t1/v2.0", "tid": "t2"}, false},
		"no tenant":         {Trust{Issuers: []string{"https://login.example/{tid}/v2.0"}}, nil, members{"iss": "https://login.example//v2.0", "tid": ""}, false},
		"tenant with path":  {Trust{Issuers: []string{"https://login.example/{tid}/v2.0"}}, nil, members{"iss": "https://login.example/a/b/v2.0", "tid": "a/b"}, false},
		"subject":           {Trust{SubjectClaim: "oid"}, nil, members{"oid": "o", "sub": nil}, true},
		"no such subject":   {Trust{SubjectClaim: "oid"}, nil, nil, false},
	} {
		base := testTrust(t)
		tt.trust.Keys = base.Keys
		if tt.trust.Issuers == nil {
			tt.trust.Issuers = base.Issuers
		}
		if tt.trust.ClientIDs == nil {
			tt.trust.Audiences = base.Audiences
		}
		v := newVerifier(t, Config{Trust: []Trust{tt.trust}})
		_, err := authenticate(t, v, sign(t, "ES256", goodHeader.with(tt.header), goodClaims.with(tt.claims)), at)
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVerifierPrincipal(t *testing.T) {
	trust := testTrust(t)
	trust.RolesClaims = []string{"realm_access.roles", "cognito:groups", "https://x.example/roles", "role"}
	v := newVerifier(t, Config{Trust: []Trust{trust}})
	p, err := authenticate(t, v, sign(t, "ES256", goodHeader, goodClaims.with(members{
		"realm_access": members{"roles": []string{"a", "b"}}, "cognito:groups": []string{"c"}, "https://x.example/roles": []string{"d"}, "role": "e f",
		"scope": " r  s ", "scp": []string{"t u"},
	})), at)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b", "c", "d", "e f"}; !reflect.DeepEqual(p.Roles, want) {
		t.Errorf("roles %q, want %q", p.Roles, want)
	}
	if want := []string{"r", "s", "t u"}; !reflect.DeepEqual(p.Scopes, want) {
		t.Errorf("scopes %q, want %q", p.Scopes, want)
	}
}

// Several issuers may share keys, or have keys of the same id; a key speaks
// for the issuers it was given for only.
func TestVerifierSeveralTrusts(t *testing.T) {
	shared := testSet(t)
	es384 := testKeys()["ES384"].public
	own, err := NewKeySet(Key{ID: "RS256", Key: testKeys()["EdDSA"].public.Key}, Key{ID: "ES384", Key: es384.Key})
	if err != nil {
		t.Fatal(err)
	}
	v := newVerifier(t, Config{Trust: []Trust{
		{Issuers: []string{"v1"}, Audiences: []string{"models"}, Keys: shared},
		{Issuers: []string{"v2"}, Audiences: []string{"models"}, Keys: shared, Claims: map[string][]string{"ver": {"2"}}},
		{Issuers: []string{"v3"}, Audiences: []string{"models"}, Keys: own},
		{Issuers: []string{"v1"}, Audiences: []string{"others"}, Keys: shared},
	}})
	for _, tt := range []struct {
		key    string
		header members
		claims members
		ok     bool
	}{
		{"ES256", nil, members{"iss": "v1"}, true},
		{"ES256", nil, members{"iss": "v2", "ver": "2"}, true},
		{"ES256", nil, members{"iss": "v2"}, false},
		{"ES256", nil, members{"iss": "v3"}, false},
		{"ES256", nil, members{"iss": "v1", "aud": "others"}, true},
		{"ES384", members{"alg": "ES384", "kid": "ES384"}, members{"iss": "v3"}, true},
		{"EdDSA", members{"alg": "EdDSA", "kid": "RS256"}, members{"iss": "v3"}, true},
		{"EdDSA", members{"alg": "EdDSA", "kid": "RS256"}, members{"iss": "v1"}, false},
		{"RS256", members{"alg": "RS256", "kid": "RS256"}, members{"iss": "v1"}, true},
		{"RS256", members{"alg": "RS256", "kid": "RS256"}, members{"iss": "v3"}, false},
		{"ES256", members{"kid": nil}, members{"iss": "v1"}, true},
		{"EdDSA", members{"alg": "EdDSA", "kid": nil}, members{"iss": "v3"}, true},
	} {
		_, err := authenticate(t, v, sign(t, tt.key, goodHeader.with(tt.header), goodClaims.with(tt.claims)), at)
		if (err == nil) != tt.ok {
			t.Errorf("%s %v %v: %v", tt.key, tt.header, tt.claims, err)
		}
	}
}

// source is a KeySource under the test's control.
type source struct {
	set     *KeySet
	refresh func(ctx context.Context, seen *KeySet, kid string) (*KeySet, error)
}

func (s *source) KeySet() *KeySet { return s.set }

func (s *source) Refresh(ctx context.Context, seen *KeySet, kid string) (*KeySet, error) {
	return s.refresh(ctx, seen, kid)
}

func TestVerifierRefresh(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	set, down := testSet(t), &auth.Error{Cause: auth.ErrUnavailable, RetryAfter: time.Second}
	asked := 0
	s := &source{}
	for _, tt := range []struct {
		name    string
		refresh func(context.Context, *KeySet, string) (*KeySet, error)
		err     error
	}{
		{"nothing new", func(_ context.Context, seen *KeySet, _ string) (*KeySet, error) { return seen, nil }, auth.ErrInvalid},
		{"down", func(_ context.Context, seen *KeySet, _ string) (*KeySet, error) { return seen, down }, auth.ErrUnavailable},
		{"canceled", func(context.Context, *KeySet, string) (*KeySet, error) { cancel(); return nil, context.Canceled }, context.Canceled},
		{"new", func(context.Context, *KeySet, string) (*KeySet, error) { s.set = set; return set, nil }, nil},
	} {
		s.set = nil
		s.refresh = func(ctx context.Context, seen *KeySet, kid string) (*KeySet, error) {
			if asked++; kid != "ES256" || seen != nil {
				t.Errorf("%s: asked for %q", tt.name, kid)
			}
			return tt.refresh(ctx, seen, kid)
		}
		trust := testTrust(t)
		trust.Keys = s
		v := newVerifier(t, Config{Trust: []Trust{trust}})
		if tt.err == nil {
			ctx = t.Context()
		}
		_, err := v.Authenticate(ctx, auth.Credentials{Token: good(t), At: at})
		if !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.err)
		}
	}
	if asked != 4 {
		t.Errorf("asked %d times", asked)
	}
	// A known key is no reason to ask, whatever is wrong with the token.
	s.refresh = func(context.Context, *KeySet, string) (*KeySet, error) { t.Error("asked"); return nil, nil }
	trust := testTrust(t)
	trust.Keys = s
	v := newVerifier(t, Config{Trust: []Trust{trust}})
	for _, h := range []members{{"alg": "RS256"}, {"kid": nil, "alg": "HS256"}} {
		if _, err := authenticate(t, v, sign(t, "ES256", goodHeader.with(h), goodClaims), at); !errors.Is(err, auth.ErrInvalid) {
			t.Error(err)
		}
	}
}

// A set that is replaced between the first look and the question is tried, and
// one source that hangs does not keep the others' keys from being found.
func TestVerifierRefreshSeveral(t *testing.T) {
	set := testSet(t)
	hangs := &source{refresh: func(ctx context.Context, _ *KeySet, _ string) (*KeySet, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	keys := NewKeyring(nil)
	rotates := &replaced{Keyring: keys, refresh: func() { keys.Replace(set) }}
	trusts := []Trust{testTrust(t), testTrust(t), testTrust(t)}
	trusts[0].Keys, trusts[1].Keys, trusts[2].Keys = hangs, rotates, rotates
	trusts[1].Issuers = []string{"another"}
	v := newVerifier(t, Config{Trust: trusts})
	if len(v.sources) != 2 {
		t.Errorf("%d sources", len(v.sources))
	}
	if _, err := authenticate(t, v, good(t), at); err != nil {
		t.Error(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Authenticate(ctx, auth.Credentials{Token: sign(t, "ES256", goodHeader.with(members{"kid": "other"}), goodClaims), At: at}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}

	looks := 0
	late := &source{refresh: func(_ context.Context, seen *KeySet, _ string) (*KeySet, error) { return seen, nil }}
	trust := testTrust(t)
	trust.Keys = keySetFunc{late, func() *KeySet {
		if looks++; looks > 1 { // replaced just after the first look
			return set
		}
		return nil
	}}
	v = newVerifier(t, Config{Trust: []Trust{trust}})
	if _, err := authenticate(t, v, good(t), at); err != nil {
		t.Error(err)
	}
}

// replaced is a Keyring that has something done when it is asked.
type replaced struct {
	*Keyring
	refresh func()
}

func (r *replaced) Refresh(ctx context.Context, seen *KeySet, kid string) (*KeySet, error) {
	r.refresh()
	return r.Keyring.Refresh(ctx, seen, kid)
}

// keySetFunc is a source whose KeySet is a function.
type keySetFunc struct {
	*source
	keySet func() *KeySet
}

func (f keySetFunc) KeySet() *KeySet { return f.keySet() }

func TestNewRefuses(t *testing.T) {
	_, err := New(Config{
		Trust: []Trust{
			{Issuers: []string{"", "a{b", "a{}", "{a}", "a{b}{c}"}, Audiences: []string{""}, ClientIDs: []string{""}, Algorithms: []string{"none"}, Types: []string{},
				Claims: map[string][]string{"x": nil}, MaxAge: -1},
			{},
		},
		Leeway: time.Minute + 1, MaxTokenBytes: 16<<10 + 1, CacheEntries: 1 << 30, CacheBytes: 1, CacheTTL: -1,
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"Trust[0].Issuers[0]", "Trust[0].Issuers[1]", "Trust[0].Issuers[2]", "Trust[0].Issuers[3]", "Trust[0].Issuers[4]", "Trust[0].Audiences", "Trust[0].ClientIDs", "Trust[0].Keys",
		"Trust[0].Algorithms[0]", "Trust[0].Types", `Trust[0].Claims["x"]`, "Trust[0].MaxAge", "Trust[1].Issuers", "Trust[1].Audiences",
		"Config.Leeway", "Config.MaxTokenBytes", "Config.CacheEntries", "Config.CacheBytes", "Config.CacheTTL",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %s in %v", want, err)
		}
	}
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "Config.Trust is empty") {
		t.Error(err)
	}
}
