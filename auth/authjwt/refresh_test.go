package authjwt

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/auth"
)

func refresh(t testing.TB, i *Issuer, tokens Tokens) Tokens {
	t.Helper()
	next, err := i.Refresh(context.Background(), tokens.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// notRefreshed fails the test unless the error is want, and holds nothing of the token.
func notRefreshed(t testing.TB, i *Issuer, token string, want error, why string) {
	t.Helper()
	tokens, err := i.Refresh(context.Background(), token)
	if !errors.Is(err, want) || tokens != (Tokens{}) {
		t.Errorf("%s: %v", why, err)
	}
	for _, part := range strings.Split(token, ".") {
		if err != nil && len(part) > 8 && strings.Contains(err.Error(), part[:8]) {
			t.Errorf("%s: the error holds the token: %v", why, err)
		}
	}
}

func TestRefreshKeepsTheGrant(t *testing.T) {
	i, v := testIssuer(t, nil)
	tokens := mint(t, i, MintRequest{
		Subject: "ada", ClientID: "app", Roles: []string{"r1", "r2"}, Scopes: []string{"s1", "s2"},
		Claims: map[string]any{"big": 9007199254740993, "list": []string{"x"}}, TTL: time.Minute,
	})
	_, first := decoded(t, tokens.AccessToken)
	for range 3 {
		tokens = refresh(t, i, tokens)
		verified(t, v, tokens.AccessToken)
		_, next := decoded(t, tokens.AccessToken)
		if next["jti"] == first["jti"] {
			t.Error("the same jti again")
		}
		for _, changes := range []string{"jti", "iat", "exp"} {
			next[changes] = first[changes]
		}
		if fmt.Sprint(next) != fmt.Sprint(first) {
			t.Fatalf("%v, at first\n%v", next, first)
		}
	}
}

// A refresh token is for the Issuer alone: no Verifier takes it for an access token,
// even one of the audience that it has.
func TestRefreshTokenIsNoAccessToken(t *testing.T) {
	i, v := testIssuer(t, nil)
	tokens := mint(t, i, MintRequest{Subject: "ada"})
	notVerified(t, v, tokens.RefreshToken, "by the default")
	v, err := New(Config{Trust: []Trust{{Issuers: []string{testIss}, Audiences: []string{testIss, testAPI}, Keys: i.Keys()}}})
	if err != nil {
		t.Fatal(err)
	}
	verified(t, v, tokens.AccessToken)
	notVerified(t, v, tokens.RefreshToken, "of its own audience")
	v, err = New(Config{Trust: []Trust{{Issuers: []string{testIss}, Audiences: []string{testAPI}, Types: []string{typeAccess, typeRefresh}, Keys: i.Keys()}}})
	if err != nil {
		t.Fatal(err)
	}
	notVerified(t, v, tokens.RefreshToken, "of a Verifier that takes its type")
}

func TestRefreshRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, _ := testIssuer(t, nil)
		other, _ := testIssuer(t, func(cfg *IssuerConfig) { cfg.Issuer = "https://other.example" })
		tokens := mint(t, i, MintRequest{Subject: "ada"})
		good := tokens.RefreshToken
		parts := strings.Split(good, ".")
		header, _ := strict.DecodeString(parts[0])
		for why, token := range map[string]string{
			"nothing":             "",
			"no token":            "opaque",
			"an access token":     tokens.AccessToken,
			"another issuer's":    mint(t, other, MintRequest{Subject: "ada"}).RefreshToken,
			"without a signature": parts[0] + "." + parts[1] + ".",
			"another signature":   parts[0] + "." + parts[1] + "." + strings.Split(tokens.AccessToken, ".")[2],
			"of no type":          sign(t, "ES256", members{"alg": "ES256"}, members{"iss": testIss, "aud": testIss, "sub": "ada", "exp": time.Now().Unix() + 60}),
			"without a session":   own(t, i, string(header), `{"iss":"`+testIss+`","aud":"`+testIss+`","sub":"ada","exp":%d,"auth_time":1}`),
			"without a beginning": own(t, i, string(header), `{"iss":"`+testIss+`","aud":"`+testIss+`","sub":"ada","exp":%d,"sid":"x"}`),
		} {
			notRefreshed(t, i, token, auth.ErrInvalid, why)
		}
		<-time.After(24*time.Hour - time.Nanosecond)
		next := refresh(t, i, Tokens{RefreshToken: good})
		if next.ExpiresIn != 1 || !next.SessionEnds.Equal(tokens.SessionEnds) || !next.ExpiresAt.Equal(tokens.SessionEnds) {
			t.Errorf("refreshed for %d s, until %v and %v", next.ExpiresIn, next.ExpiresAt, next.SessionEnds)
		}
		<-time.After(time.Nanosecond)
		notRefreshed(t, i, next.RefreshToken, auth.ErrExpired, "at its end")
	})
}

// Another process with the keys may have a clock that is ahead.
func TestRefreshAheadOfTheClock(t *testing.T) {
	i, v := testIssuer(t, nil)
	header, _ := strict.DecodeString(i.signing.Load().refresh)
	now := time.Now().Unix()
	token := own(t, i, string(header), fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":"ada","exp":%%d,"sid":"x","iat":%d,"auth_time":%d}`, testIss, testIss, now+5, now+5))
	verified(t, v, refresh(t, i, Tokens{RefreshToken: token}).AccessToken)
}

// flaky is a key that fails at times, as one that is asked over a network does.
type flaky struct {
	crypto.Signer
	fails *bool
}

func (f flaky) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if *f.fails {
		return nil, errors.New("no power")
	}
	return f.Signer.Sign(r, digest, opts)
}

// A refresh that fails for want of a signature can be tried again.
func TestRefreshWithoutASignature(t *testing.T) {
	fails := false
	i, _ := testIssuer(t, func(cfg *IssuerConfig) {
		cfg.Keys = []SigningKey{{Key: flaky{testKeys()["ES256"].private.(crypto.Signer), &fails}}}
	})
	tokens := mint(t, i, MintRequest{Subject: "ada"})
	fails = true
	if tokens, err := i.Mint(MintRequest{Subject: "ada"}); err == nil || tokens != (Tokens{}) || !strings.Contains(err.Error(), "no power") {
		t.Errorf("minted: %v", err)
	}
	if tokens, err := i.Refresh(t.Context(), tokens.RefreshToken); err == nil || tokens != (Tokens{}) {
		t.Errorf("refreshed: %v", err)
	}
	fails = false
	refresh(t, i, tokens)
}

// own signs claims by the Issuer's key, with exp in a minute.
func own(t testing.TB, i *Issuer, header, claims string) string {
	t.Helper()
	token, err := i.signing.Load().token(encode([]byte(header)), fmt.Appendf(nil, claims, time.Now().Unix()+60))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// RFC 9700 §4.14.2: a refresh token that comes twice ends its session for both who have it.
func TestRefreshTokenReused(t *testing.T) {
	for _, listed := range []bool{false, true} {
		list := newList(t, 0)
		i, v := testIssuer(t, func(cfg *IssuerConfig) {
			if listed {
				cfg.Revocations = list
			}
		})
		first := mint(t, i, MintRequest{Subject: "ada"})
		another := mint(t, i, MintRequest{Subject: "ada"})
		second := refresh(t, i, first)
		third := refresh(t, i, second)
		verified(t, v, third.AccessToken)
		notRefreshed(t, i, first.RefreshToken, ErrReused, "the second time")
		notRefreshed(t, i, third.RefreshToken, auth.ErrInvalid, "the last one, of a session that is over")
		for _, tokens := range []Tokens{first, second, third} {
			if listed {
				notVerified(t, v, tokens.AccessToken, "of a session that is over")
			} else {
				verified(t, v, tokens.AccessToken)
			}
		}
		// Whoever sends it on and on does not cost Verifiers their caches.
		generation := list.Generation()
		for range 3 {
			notRefreshed(t, i, first.RefreshToken, ErrReused, "and on")
		}
		if list.Generation() != generation {
			t.Error("each time begins a generation")
		}
		verified(t, v, another.AccessToken)
		refresh(t, i, another)
	}
}

// The list is full: the session cannot be refreshed all the same, and the error says
// what could not be done.
func TestRefreshTokenReusedWithAFullList(t *testing.T) {
	list := newList(t, 1)
	i, _ := testIssuer(t, func(cfg *IssuerConfig) { cfg.Revocations = list })
	if err := list.Revoke("something", time.Time{}); err != nil {
		t.Fatal(err)
	}
	first := mint(t, i, MintRequest{Subject: "ada"})
	second := refresh(t, i, first)
	_, err := i.Refresh(t.Context(), first.RefreshToken)
	if !errors.Is(err, ErrReused) || !strings.Contains(err.Error(), "full") {
		t.Error(err)
	}
	notRefreshed(t, i, second.RefreshToken, ErrReused, "the last one")
}

// However many come at once, one at most is served, and the session is over.
func TestRefreshOnceConcurrently(t *testing.T) {
	i, _ := testIssuer(t, func(cfg *IssuerConfig) { cfg.Keys = []SigningKey{signingKey("HS256")} })
	for range 50 {
		tokens := mint(t, i, MintRequest{Subject: "ada"})
		var served, reused atomic.Int64
		var last atomic.Pointer[Tokens]
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				switch next, err := i.Refresh(context.Background(), tokens.RefreshToken); {
				case err == nil:
					served.Add(1)
					last.Store(&next)
				case errors.Is(err, ErrReused):
					reused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if served.Load() != 1 || reused.Load() != 7 {
			t.Fatalf("%d served, %d refused", served.Load(), reused.Load())
		}
		notRefreshed(t, i, last.Load().RefreshToken, ErrReused, "the one that was served")
	}
}

// Another process with the keys, or the same after a restart, goes on with a session, and
// knows a spent token once it has seen a later one.
func TestRefreshAfterRestart(t *testing.T) {
	before, _ := testIssuer(t, nil)
	first := mint(t, before, MintRequest{Subject: "ada"})
	second := refresh(t, before, first)
	after, _ := testIssuer(t, nil)
	third := refresh(t, after, second)
	notRefreshed(t, after, first.RefreshToken, ErrReused, "spent before the restart")
	notRefreshed(t, after, third.RefreshToken, ErrReused, "of that session")
}

func TestRefreshReloads(t *testing.T) {
	var roles, scopes []string
	var failure error
	i, v := testIssuer(t, func(cfg *IssuerConfig) {
		cfg.Reload = func(_ context.Context, subject string) ([]string, []string, error) {
			if subject != "ada" {
				t.Errorf("asked for %q", subject)
			}
			return roles, scopes, failure
		}
	})
	tokens := mint(t, i, MintRequest{Subject: "ada", Roles: []string{"admin"}, Scopes: []string{"read", "write"}})
	reloaded := func(wantRoles, wantScopes []string) {
		t.Helper()
		tokens = refresh(t, i, tokens)
		p := verified(t, v, tokens.AccessToken)
		if !slices.Equal(p.Roles, wantRoles) || !slices.Equal(p.Scopes, wantScopes) {
			t.Errorf("roles %v, scopes %v", p.Roles, p.Scopes)
		}
	}
	roles, scopes = []string{"user", "new"}, []string{"all", "write"}
	reloaded([]string{"user", "new"}, []string{"write"})
	scopes = []string{"write", "read"} // which the user has again, and Mint gave
	reloaded([]string{"user", "new"}, []string{"write", "read"})
	roles, scopes = nil, nil
	reloaded(nil, nil)
	// What fails leaves the token good.
	failure = fmt.Errorf("disabled: %w", auth.ErrInvalid)
	notRefreshed(t, i, tokens.RefreshToken, failure, "disabled")
	failure, roles = nil, []string{""}
	if _, err := i.Refresh(t.Context(), tokens.RefreshToken); err == nil || !strings.Contains(err.Error(), "Roles[0]") {
		t.Errorf("an empty role: %v", err)
	}
	roles = nil
	reloaded(nil, nil)
}

func TestRefreshLetsPanicsThrough(t *testing.T) {
	fail := true
	i, _ := testIssuer(t, func(cfg *IssuerConfig) {
		cfg.Reload = func(context.Context, string) ([]string, []string, error) {
			if fail {
				panic("reload")
			}
			return nil, nil, nil
		}
	})
	tokens := mint(t, i, MintRequest{Subject: "ada"})
	func() {
		defer func() {
			if r := recover(); r != "reload" {
				t.Errorf("recovered %v", r)
			}
		}()
		_, _ = i.Refresh(t.Context(), tokens.RefreshToken)
	}()
	fail = false
	refresh(t, i, tokens)
}

func TestRefreshOfTheRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := newList(t, 0)
		during := func() {}
		i, v := testIssuer(t, func(cfg *IssuerConfig) {
			cfg.Revocations = list
			cfg.Reload = func(context.Context, string) ([]string, []string, error) {
				during()
				return nil, nil, nil
			}
		})
		later := time.Now().Add(48 * time.Hour)
		// Logged out.
		tokens := mint(t, i, MintRequest{Subject: "ada"})
		sid, _ := verified(t, v, tokens.AccessToken).Claims["sid"].(string)
		if err := list.Revoke(sid, tokens.SessionEnds); err != nil {
			t.Fatal(err)
		}
		notVerified(t, v, tokens.AccessToken, "logged out")
		notRefreshed(t, i, tokens.RefreshToken, auth.ErrInvalid, "logged out")
		// Logged out while a refresh was under way.
		tokens = mint(t, i, MintRequest{Subject: "ada"})
		during = func() {
			if err := list.RevokeSubject(testIss, "ada", time.Now().Add(time.Second), later); err != nil {
				t.Error(err)
			}
		}
		notRefreshed(t, i, tokens.RefreshToken, auth.ErrInvalid, "revoked in the meantime")
		during = func() {}
		// A session that began before is over, however lately it was refreshed.
		<-time.After(time.Minute)
		tokens = mint(t, i, MintRequest{Subject: "ada"})
		began := time.Now()
		<-time.After(time.Minute)
		tokens = refresh(t, i, tokens)
		verified(t, v, tokens.AccessToken)
		if err := list.RevokeSubject(testIss, "ada", began.Add(time.Second), later); err != nil {
			t.Fatal(err)
		}
		notRefreshed(t, i, tokens.RefreshToken, auth.ErrInvalid, "begun before")
		refresh(t, i, mint(t, i, MintRequest{Subject: "ada"}))
	})
}

// What is remembered of sessions is bounded: a full Issuer refreshes no more of them,
// rather than forget which tokens were used.
func TestRefreshMaxSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, _ := testIssuer(t, func(cfg *IssuerConfig) { cfg.MaxSessions = 2 })
		one, two, three := mint(t, i, MintRequest{Subject: "1"}), mint(t, i, MintRequest{Subject: "2"}), mint(t, i, MintRequest{Subject: "3"})
		nextOne := refresh(t, i, one)
		nextOne = refresh(t, i, nextOne)
		nextTwo := refresh(t, i, two)
		notRefreshed(t, i, three.RefreshToken, auth.ErrUnavailable, "the third")
		var retryable interface{ Retryable() bool }
		if _, err := i.Refresh(t.Context(), three.RefreshToken); !errors.As(err, &retryable) || !retryable.Retryable() {
			t.Errorf("not to be tried again: %v", err)
		}
		notRefreshed(t, i, one.RefreshToken, ErrReused, "of a full Issuer")
		refresh(t, i, nextTwo)
		<-time.After(24 * time.Hour)
		late := mint(t, i, MintRequest{Subject: "4"})
		<-time.After(time.Second) // for as long as clocks count whole ones
		refresh(t, i, late)
		if n := len(i.sessions.entries); n != 1 {
			t.Errorf("%d sessions are remembered", n)
		}
		notRefreshed(t, i, nextOne.RefreshToken, auth.ErrExpired, "of a session that has ended")
	})
}

// Nothing but what was minted is ever refreshed, and nothing makes Refresh panic.
func FuzzRefresh(f *testing.F) {
	i, _ := testIssuer(f, func(cfg *IssuerConfig) { cfg.Keys = []SigningKey{signingKey("HS256")} })
	tokens := mint(f, i, MintRequest{Subject: "ada", Claims: map[string]any{"x": 1}})
	for _, seed := range []string{"", "..", tokens.AccessToken, tokens.RefreshToken + "A", strings.ToUpper(tokens.RefreshToken)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		next, err := i.Refresh(t.Context(), token)
		if err == nil || next != (Tokens{}) {
			t.Errorf("%q was refreshed", token)
		}
		if !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("%q: %v", token, err)
		}
	})
}

// Claims of any kind come back from golang-jwt's, or rather encoding/json's, reading
// and from the Verifier's as they were given, also after a refresh.
func FuzzMintClaims(f *testing.F) {
	i, v := testIssuer(f, func(cfg *IssuerConfig) { cfg.Keys = []SigningKey{signingKey("HS256")} })
	f.Add("ada", "tenant", "x", "read")
	f.Add("ü\u2028<>&", "sub", "\x00", "a b")
	f.Fuzz(func(t *testing.T, subject, name, value, scope string) {
		tokens, err := i.Mint(MintRequest{Subject: subject, Claims: map[string]any{name: value}, Scopes: []string{scope}})
		if err != nil {
			return
		}
		value = strings.ToValidUTF8(value, "\ufffd")
		for range 2 {
			p, err := v.Authenticate(t.Context(), auth.Credentials{Token: tokens.AccessToken})
			if err != nil {
				if name == "groups" || name == "scp" { // which the Verifier reads, too
					return
				}
				t.Fatalf("%q: %v", name, err)
			}
			if p.Subject != subject || !slices.Contains(p.Scopes, scope) || slices.Contains(reserved[:], name) {
				t.Fatalf("%+v", p)
			}
			if strings.ContainsRune(name+value, '\ufffd') { // one for each bad byte, or for several
				return
			}
			if p.Claims[name] != value {
				t.Fatalf("%q is %q, not %q", name, p.Claims[name], value)
			}
			tokens = refresh(t, i, tokens)
		}
	})
}
