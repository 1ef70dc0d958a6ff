package authjwt

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/ballast-go/ballast/auth"
)

// FuzzHeader looks for a header that is read otherwise than golang-jwt does.
func FuzzHeader(f *testing.F) {
	for _, s := range []string{`{"alg":"ES256","kid":"a","typ":"JWT"}`, `{"alg":"none"}`, `{"alg":"ES256","crit":["b64"],"b64":false}`, `{"alg":"ES256","typ":"application/at+jwt"}`, `{"alg":"a","alg":"b"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		h, err := parseHeader(encode(document))
		if err != nil {
			return
		}
		if h.alg == "" || len(h.kid) > maxKeyID || strings.HasPrefix(h.typ, "application/application/") && !strings.Contains(string(document), "application/") {
			t.Errorf("%q is read as %+v", document, h)
		}
		token, _, err := jwt.NewParser().ParseUnverified(encode(document)+".e30.AA", jwt.MapClaims{})
		if token == nil { // golang-jwt knows fewer algorithms than there are names
			t.Fatalf("%q is refused by golang-jwt: %v", document, err)
		}
		if token.Header["alg"] != h.alg || h.kid != "" && token.Header["kid"] != h.kid {
			t.Errorf("%q is read as %+v, by golang-jwt as %v", document, h, token.Header)
		}
		if token.Header["crit"] != nil {
			t.Errorf("%q has a crit", document)
		}
	})
}

// FuzzVerifier signs any claims, and mutates good tokens: what is accepted,
// golang-jwt with all its checks on accepts as well.
func FuzzVerifier(f *testing.F) {
	set := testSet(f)
	v, err := New(Config{Trust: []Trust{{Issuers: []string{"https://issuer.example"}, Audiences: []string{"models"}, Keys: set}}, Leeway: -1, CacheEntries: -1})
	if err != nil {
		f.Fatal(err)
	}
	key := testKeys()["EdDSA"]
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithIssuer("https://issuer.example"), jwt.WithAudience("models"),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithTimeFunc(func() time.Time { return at }))
	header := `{"alg":"EdDSA","kid":"EdDSA","typ":"JWT"}`
	f.Add(header, string(jsonOf(goodClaims)), uint16(0), byte(0))
	f.Add(header, strings.Replace(string(jsonOf(goodClaims)), `"models"`, `["x","models"]`, 1), uint16(7), byte(1))
	f.Add(`{"alg":"none"}`, `{"exp":1e18}`, uint16(30), byte(255))
	f.Fuzz(func(t *testing.T, header, claims string, place uint16, flip byte) {
		token := []byte(sign(t, "EdDSA", header, claims))
		token[int(place)%len(token)] ^= flip
		p, err := authenticate(t, v, string(token), at)
		parsed, peerErr := parser.Parse(string(token), func(*jwt.Token) (any, error) { return key.public.Key, nil })
		switch {
		case err == nil && (peerErr != nil || flip != 0):
			t.Errorf("%s is accepted; golang-jwt says %v", token, peerErr)
		case err == nil:
			if sub, _ := parsed.Claims.GetSubject(); sub != p.Subject {
				t.Errorf("%s is of %q, by golang-jwt of %q", token, p.Subject, sub)
			}
		case !errors.Is(err, auth.ErrInvalid) && !errors.Is(err, auth.ErrNoCredential):
			t.Errorf("%s: %v", token, err)
		}
	})
}

// FuzzToken looks for a token that makes it panic, or that is accepted
// though nobody has signed it.
func FuzzToken(f *testing.F) {
	v := newVerifier(f, Config{})
	f.Add(good(f)[:40])
	f.Add("..")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, token string) {
		if p, err := authenticate(t, v, token, at); err == nil || p != nil {
			t.Errorf("%q is accepted: %+v", token, p)
		}
	})
}
