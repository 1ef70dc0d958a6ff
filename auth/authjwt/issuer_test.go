package authjwt

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/ballast-go/ballast/auth"
)

const (
	testIss = "https://issuer.example"
	testAPI = "https://api.example"
)

// algorithms are all that can sign.
var algorithms = slices.Sorted(maps.Keys(testKeys()))

// signingKey is the test key of an algorithm.
func signingKey(alg string) SigningKey {
	return SigningKey{Algorithm: alg, Key: testKeys()[alg].private}
}

// testIssuer returns an Issuer that change has changed, and a Verifier for its tokens.
func testIssuer(t testing.TB, change func(*IssuerConfig)) (*Issuer, *Verifier) {
	t.Helper()
	cfg := IssuerConfig{Issuer: testIss, Audience: []string{testAPI}, Keys: []SigningKey{signingKey("ES256")}}
	if change != nil {
		change(&cfg)
	}
	i, err := NewIssuer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	vc := Config{Trust: []Trust{{Issuers: []string{testIss}, Audiences: []string{testAPI}, Keys: i.Keys()}}}
	if cfg.Revocations != nil {
		vc.Revocations = cfg.Revocations
	}
	v, err := New(vc)
	if err != nil {
		t.Fatal(err)
	}
	return i, v
}

func mint(t testing.TB, i *Issuer, req MintRequest) Tokens {
	t.Helper()
	tokens, err := i.Mint(req)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// verified returns whom a token proves by v, now.
func verified(t testing.TB, v *Verifier, token string) *auth.Principal {
	t.Helper()
	p, err := v.Authenticate(context.Background(), auth.Credentials{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// notVerified fails the test if v accepts the token now.
func notVerified(t testing.TB, v *Verifier, token, why string) {
	t.Helper()
	if _, err := v.Authenticate(context.Background(), auth.Credentials{Token: token}); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("%s: %v", why, err)
	}
}

// Each algorithm's tokens are good to this package's Verifier and to golang-jwt's
// parser, by the key in hand and by the one that is published.
func TestIssuerRoundTrip(t *testing.T) {
	for _, alg := range algorithms {
		t.Run(alg, func(t *testing.T) {
			i, v := testIssuer(t, func(cfg *IssuerConfig) { cfg.Keys = []SigningKey{signingKey(alg)} })
			tokens := mint(t, i, MintRequest{Subject: "ada", Roles: []string{"admin"}, Scopes: []string{"read", "write"}})
			p := verified(t, v, tokens.AccessToken)
			if p.Subject != "ada" || p.Issuer != testIss || !slices.Equal(p.Roles, []string{"admin"}) || !slices.Equal(p.Scopes, []string{"read", "write"}) || !p.ExpiresAt.Equal(tokens.ExpiresAt) {
				t.Errorf("%+v", p)
			}
			peer, err := jwt.Parse(tokens.AccessToken, func(*jwt.Token) (any, error) { return testKeys()[alg].public.Key, nil },
				jwt.WithValidMethods([]string{alg}), jwt.WithIssuer(testIss), jwt.WithAudience(testAPI), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
			if err != nil {
				t.Fatalf("golang-jwt: %v", err)
			}
			if !strings.HasPrefix(alg, "HS") {
				set, err := ParseKeySet(i.signing.Load().published.body)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := verifyCompact(tokens.AccessToken, set); err != nil {
					t.Errorf("by the published key: %v", err)
				}
				if kid, _ := peer.Header["kid"].(string); kid == "" {
					t.Error("no kid")
				}
			} else if _, ok := peer.Header["kid"]; ok {
				t.Error("a kid of a shared secret")
			}
			next, err := i.Refresh(t.Context(), tokens.RefreshToken)
			if err != nil {
				t.Fatal(err)
			}
			verified(t, v, next.AccessToken)
		})
	}
}

// RFC 9068 §2: the header's typ, and the claims that an access token must have.
func TestAccessTokenIsRFC9068(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, _ := testIssuer(t, func(cfg *IssuerConfig) { cfg.Audience = []string{"a", "b"} })
		tokens := mint(t, i, MintRequest{
			Subject: "ada", ClientID: "app", Roles: []string{"r"}, Scopes: []string{"s1", "s2"},
			Claims: map[string]any{"tenant": 9007199254740993, "nested": map[string]any{"x": "ü"}},
		})
		header, claims := decoded(t, tokens.AccessToken)
		if !reflect.DeepEqual(header, map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": header["kid"]}) {
			t.Errorf("header %v", header)
		}
		now := time.Now().Unix()
		jti, sid := claims["jti"], claims["sid"]
		want := map[string]any{
			"iss": testIss, "sub": "ada", "aud": []any{"a", "b"}, "client_id": "app",
			"iat": json.Number(fmt.Sprint(now)), "exp": json.Number(fmt.Sprint(now + 900)),
			"jti": jti, "sid": sid, "roles": []any{"r"}, "scope": "s1 s2",
			"tenant": json.Number("9007199254740993"), "nested": map[string]any{"x": "ü"},
		}
		if !reflect.DeepEqual(claims, want) {
			t.Errorf("claims\n%v, want\n%v", claims, want)
		}
		if len(jti.(string)) < 22 || jti == sid {
			t.Errorf("jti %q, sid %q", jti, sid)
		}
		if _, second := decoded(t, mint(t, i, MintRequest{Subject: "ada"}).AccessToken); second["jti"] == jti || second["sid"] == sid {
			t.Error("the same jti or sid again")
		}
		if tokens.TokenType != "Bearer" || tokens.ExpiresIn != 900 || tokens.Scope != "s1 s2" || tokens.ExpiresAt.Unix() != now+900 || tokens.SessionEnds.Unix() != now+24*3600 {
			t.Errorf("%d s of %s, scope %s, until %v and %v", tokens.ExpiresIn, tokens.TokenType, tokens.Scope, tokens.ExpiresAt, tokens.SessionEnds)
		}
		single, _ := testIssuer(t, nil)
		if _, claims := decoded(t, mint(t, single, MintRequest{Subject: "ada"}).AccessToken); claims["aud"] != testAPI || claims["client_id"] != testIss {
			t.Errorf("aud %v, client_id %v", claims["aud"], claims["client_id"])
		}
	})
}

// decoded returns a token's header and claims, whatever its signature.
func decoded(t testing.TB, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	for i, to := range []*map[string]any{&header, &claims} {
		b, err := strict.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(strings.NewReader(string(b)))
		d.UseNumber()
		if err := d.Decode(to); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

func TestMintTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, v := testIssuer(t, func(cfg *IssuerConfig) { cfg.TTL = time.Minute })
		usual, short := mint(t, i, MintRequest{Subject: "a"}), mint(t, i, MintRequest{Subject: "a", TTL: 20 * time.Second})
		if usual.ExpiresIn != 60 || short.ExpiresIn != 20 {
			t.Fatalf("%d and %d s", usual.ExpiresIn, short.ExpiresIn)
		}
		<-time.After(30*time.Second - 1) // with the Verifier's leeway
		verified(t, v, short.AccessToken)
		<-time.After(1)
		notVerified(t, v, short.AccessToken, "after its own TTL")
		verified(t, v, usual.AccessToken)
		// The session keeps to its request's.
		next, err := i.Refresh(t.Context(), short.RefreshToken)
		if err != nil || next.ExpiresIn != 20 {
			t.Fatalf("refreshed for %d s: %v", next.ExpiresIn, err)
		}
	})
}

func TestMintWithoutRefreshToken(t *testing.T) {
	never, _ := testIssuer(t, func(cfg *IssuerConfig) { cfg.RefreshTTL = -1 })
	usual, _ := testIssuer(t, nil)
	for _, tokens := range []Tokens{mint(t, never, MintRequest{Subject: "a"}), mint(t, usual, MintRequest{Subject: "a", AccessOnly: true})} {
		_, claims := decoded(t, tokens.AccessToken)
		if tokens.RefreshToken != "" || !tokens.SessionEnds.IsZero() || claims["sid"] != nil {
			t.Errorf("a session: %v", claims)
		}
	}
}

func TestMintRefuses(t *testing.T) {
	i, _ := testIssuer(t, nil)
	bad := string([]byte{0xff})
	for want, req := range map[string]MintRequest{
		"Subject is empty":   {},
		"Subject is":         {Subject: bad},
		"ClientID is":        {Subject: "a", ClientID: bad},
		"Roles[1] is":        {Subject: "a", Roles: []string{"x", ""}},
		"Scopes[0] is":       {Subject: "a", Scopes: []string{"two words"}},
		"Scopes[1] is":       {Subject: "a", Scopes: []string{"x", `q"`}},
		"TTL is -1s":         {Subject: "a", TTL: -time.Second},
		"TTL is 1.5s":        {Subject: "a", TTL: 1500 * time.Millisecond},
		"TTL is 24h0m1s":     {Subject: "a", TTL: 24*time.Hour + time.Second},
		"Claims: json":       {Subject: "a", Claims: map[string]any{"f": func() {}}},
		"a member twice":     {Subject: "a", Claims: map[string]any{"f": json.RawMessage(`{"x":1,"x":2}`)}},
		"token of":           {Subject: "a", Claims: map[string]any{"f": strings.Repeat("x", maxToken)}},
		"nested too deeply":  {Subject: "a", Claims: map[string]any{"f": json.RawMessage(strings.Repeat("[", 20) + strings.Repeat("]", 20))}},
		"Scopes[2] is empty": {Subject: "a", Scopes: []string{"x", "y", ""}},
	} {
		if tokens, err := i.Mint(req); err == nil || !strings.Contains(err.Error(), want) || tokens != (Tokens{}) {
			t.Errorf("%s: %v", want, err)
		}
	}
	for _, name := range []string{"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "roles", "scope", "sid"} {
		_, err := i.Mint(MintRequest{Subject: "a", Claims: map[string]any{name: "x", "harmless": 1}})
		if err == nil || !strings.Contains(err.Error(), "Claims has "+name+",") {
			t.Errorf("%s can be overridden: %v", name, err)
		}
	}
	_, err := i.Mint(MintRequest{Roles: []string{""}, TTL: -1})
	for _, want := range []string{"Subject", "Roles[0]", "TTL"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("not all at once: no %s in %v", want, err)
		}
	}
}

func TestNewIssuerRefuses(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec := testKeys()["ES256"].private.(*ecdsa.PrivateKey)
	keys := func(keys ...SigningKey) func(*IssuerConfig) { return func(cfg *IssuerConfig) { cfg.Keys = keys } }
	for want, change := range map[string]func(*IssuerConfig){
		"Issuer is":                      func(cfg *IssuerConfig) { cfg.Issuer = "" },
		"has a brace":                    func(cfg *IssuerConfig) { cfg.Issuer = "https://{tid}" },
		"Audience is empty":              func(cfg *IssuerConfig) { cfg.Audience = nil },
		"Audience[1] is":                 func(cfg *IssuerConfig) { cfg.Audience = []string{"a", ""} },
		"ClientID is":                    func(cfg *IssuerConfig) { cfg.ClientID = "\xff" },
		"TTL is 25h":                     func(cfg *IssuerConfig) { cfg.TTL = 25 * time.Hour },
		"TTL is -1s":                     func(cfg *IssuerConfig) { cfg.TTL = -time.Second },
		"RefreshTTL is 1ms":              func(cfg *IssuerConfig) { cfg.RefreshTTL = time.Millisecond },
		"RefreshTTL is 10000":            func(cfg *IssuerConfig) { cfg.RefreshTTL = 10000 * time.Hour },
		"MaxSessions is -1":              func(cfg *IssuerConfig) { cfg.MaxSessions = -1 },
		"Keys has 0 keys":                keys(),
		"Keys[0]: Key is nil":            keys(SigningKey{}),
		"is a string":                    keys(SigningKey{Key: "secret of 32 bytes, but as string"}),
		"1024 bits":                      keys(SigningKey{Algorithm: "RS256", Key: small}),
		"several":                        keys(SigningKey{Key: testKeys()["RS256"].private}),
		"none":                           keys(SigningKey{Algorithm: "none", Key: ec}),
		"not one for RS256":              keys(SigningKey{Algorithm: "RS256", Key: ec}),
		"a secret of 5 bytes":            keys(SigningKey{Algorithm: "HS256", Key: []byte("short")}),
		"Ed25519 key of 3 bytes":         keys(SigningKey{Key: ed25519.PrivateKey("abc")}),
		"this one is public":             keys(SigningKey{Key: &ec.PublicKey}),
		"two ES256 keys":                 keys(SigningKey{ID: "x", Key: ec}, SigningKey{ID: "x", Key: other}),
		"Keys[1]: Key is nil":            keys(SigningKey{Key: ec}, SigningKey{Key: (*rsa.PrivateKey)(nil)}),
		"Keys[0]: ID":                    keys(SigningKey{Key: ec, ID: strings.Repeat("k", 513)}),
		"secrets and public keys":        keys(signingKey("ES256"), signingKey("HS256")),
		"the signature is not":           keys(SigningKey{Key: elsewhere{ec, &other.PublicKey}}),
		"does not sign: no power":        keys(SigningKey{Key: broken{ec}}),
		"Keys[0]: the algorithm \"ES257": keys(SigningKey{Key: ec, Algorithm: "ES257"}),
	} {
		cfg := IssuerConfig{Issuer: testIss, Audience: []string{testAPI}, Keys: []SigningKey{signingKey("ES256")}}
		change(&cfg)
		i, err := NewIssuer(cfg)
		if err == nil || !strings.Contains(err.Error(), want) || i != nil {
			t.Errorf("%s: %v", want, err)
		}
		if err != nil && !strings.Contains(err.Error(), "IssuerConfig.") {
			t.Errorf("%v names no field", err)
		}
	}
	_, err = NewIssuer(IssuerConfig{TTL: -1})
	for _, want := range []string{"Issuer", "Audience", "TTL", "Keys"} {
		if err == nil || !strings.Contains(err.Error(), "IssuerConfig."+want) {
			t.Errorf("not all at once: no %s in %v", want, err)
		}
	}
}

// elsewhere is a key that golang-jwt does not know how to use.
type elsewhere struct {
	crypto.Signer
	public crypto.PublicKey
}

func (e elsewhere) Public() crypto.PublicKey { return e.public }

type broken struct{ crypto.Signer }

func (broken) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("no power")
}

// A key whose private half is elsewhere, as in a KMS, signs as well.
func TestIssuerSignsElsewhere(t *testing.T) {
	for _, alg := range algorithms {
		key, ok := testKeys()[alg].private.(crypto.Signer)
		if !ok {
			continue
		}
		i, v := testIssuer(t, func(cfg *IssuerConfig) {
			cfg.Keys = []SigningKey{{Algorithm: alg, Key: elsewhere{key, key.Public()}}}
		})
		for range 20 { // numbers of an ECDSA signature have leading zeros at times
			verified(t, v, mint(t, i, MintRequest{Subject: "a"}).AccessToken)
		}
	}
}

func TestJoined(t *testing.T) {
	sig, err := joined([]byte{0x30, 6, 2, 1, 1, 2, 1, 2}, 32)
	if err != nil || len(sig) != 64 || sig[31] != 1 || sig[63] != 2 {
		t.Errorf("%x, %v", sig, err)
	}
	for _, bad := range [][]byte{nil, {0x30, 0}, {0x30, 6, 2, 1, 0, 2, 1, 2}, {0x30, 6, 2, 1, 0xff, 2, 1, 2}, {0x30, 6, 2, 1, 1, 2, 1, 2, 0}} {
		if _, err := joined(bad, 32); err == nil {
			t.Errorf("%x was taken", bad)
		}
	}
	long := new(big.Int).Lsh(big.NewInt(1), 256).Bytes()
	if _, err := joined(append([]byte{0x30, byte(2 + len(long) + 3), 2, byte(len(long))}, append(long, 2, 1, 1)...), 32); err == nil {
		t.Error("33 bytes were taken for 32")
	}
}

// The Issuer has its own copies: who gave it keys and names may wipe theirs.
func TestIssuerKeepsCopies(t *testing.T) {
	secret := []byte(rand.Text() + rand.Text())
	audience := []string{testAPI}
	i, v := testIssuer(t, func(cfg *IssuerConfig) {
		cfg.Audience, cfg.Keys = audience, []SigningKey{{Algorithm: "HS256", Key: secret}}
	})
	clear(secret)
	audience[0] = "changed"
	verified(t, v, mint(t, i, MintRequest{Subject: "a"}).AccessToken)
}

func TestRotate(t *testing.T) {
	older, newer := signingKey("ES256"), signingKey("ES384")
	i, v := testIssuer(t, func(cfg *IssuerConfig) { cfg.Keys = []SigningKey{older} })
	rotate := func(keys ...SigningKey) {
		t.Helper()
		if err := i.Rotate(keys); err != nil {
			t.Fatal(err)
		}
	}
	first := mint(t, i, MintRequest{Subject: "a"})
	verified(t, v, first.AccessToken)
	rotate(older, newer)
	if header, _ := decoded(t, mint(t, i, MintRequest{Subject: "a"}).AccessToken); header["alg"] != "ES256" {
		t.Errorf("the second key signs: %v", header)
	}
	older.Key = testKeys()["ES256"].public.Key // all that is needed from now on
	rotate(newer, older)
	second := mint(t, i, MintRequest{Subject: "a"})
	if header, _ := decoded(t, second.AccessToken); header["alg"] != "ES384" {
		t.Errorf("the first key does not sign: %v", header)
	}
	verified(t, v, first.AccessToken)
	verified(t, v, second.AccessToken)
	for range 2 {
		if err := i.Rotate(nil); err == nil || !strings.Contains(err.Error(), "keys has 0 keys") {
			t.Error(err)
		}
	}
	verified(t, v, first.AccessToken)
	rotate(newer)
	notVerified(t, v, first.AccessToken, "by the key that was dropped")
	if _, err := i.Refresh(t.Context(), first.RefreshToken); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("a refresh token by the key that was dropped: %v", err)
	}
	verified(t, v, second.AccessToken)
	if _, err := i.Refresh(t.Context(), second.RefreshToken); err != nil {
		t.Error(err)
	}
}

// Printed and logged, in whatever way, tokens do not show.
func TestTokensDoNotShow(t *testing.T) {
	i, _ := testIssuer(t, nil)
	tokens := mint(t, i, MintRequest{Subject: "a"})
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "tokens", tokens)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "tokens", tokens)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		log.WriteString(fmt.Sprintf(verb, tokens) + fmt.Sprintf(verb, &tokens) + fmt.Sprintf(verb, []Tokens{tokens}))
	}
	if s := log.String(); strings.Contains(s, "eyJ") || strings.Contains(s, "65794a") || !strings.Contains(s, "tokens until 2") {
		t.Error(s)
	}
	answer, err := json.Marshal(tokens)
	var fields map[string]any
	if err := errors.Join(err, json.Unmarshal(answer, &fields)); err != nil {
		t.Fatal(err)
	}
	if len(fields) != 4 || fields["access_token"] != tokens.AccessToken || fields["refresh_token"] != tokens.RefreshToken || fields["token_type"] != "Bearer" || fields["expires_in"] != 900.0 {
		t.Errorf("%s", answer)
	}
}
