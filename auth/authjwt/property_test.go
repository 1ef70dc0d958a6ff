package authjwt

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ballast-go/ballast/auth"
)

// raceToEnd has several goroutines ask, round after round, while what they ask
// for is ended, and fails the test if the answer is still yes in a call that began
// after end had returned. end begins when the first question has been put, so
// that it meets some that are being answered.
func raceToEnd(t *testing.T, rounds int, begin func(round int) (accepts func() bool, end func() error)) {
	t.Helper()
	var yes atomic.Int64
	for round := range rounds {
		accepts, end := begin(round)
		asked, ended := make(chan struct{}), make(chan struct{})
		ask := sync.OnceFunc(func() { close(asked) })
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for over := false; !over; {
					select {
					case <-ended:
						over = true
					default:
						ask()
					}
					switch accepted := accepts(); {
					case accepted && over:
						t.Errorf("round %d: yes after the end", round)
					case accepted:
						yes.Add(1)
					}
					runtime.Gosched() // with few processors, end has to have one
				}
			})
		}
		<-asked
		if err := end(); err != nil {
			t.Error(err)
		}
		close(ended)
		wg.Wait()
	}
	if yes.Load() == 0 {
		t.Error("never a yes")
	}
}

// accepted returns what asks v for the token.
func accepted(t *testing.T, v *Verifier, token string) func() bool {
	return func() bool {
		_, err := v.Authenticate(context.Background(), auth.Credentials{Token: token})
		if err != nil && !errors.Is(err, auth.ErrInvalid) && !errors.Is(err, auth.ErrUnavailable) {
			t.Error(err)
		}
		return err == nil
	}
}

// No token is accepted by a request that begins after Revoke or RevokeSubject
// has returned, with and without a cache.
func TestNoAcceptAfterRevoke(t *testing.T) {
	for _, cfg := range []Config{{}, {CacheHashed: true}, {CacheEntries: 4}, {CacheEntries: -1}} {
		list := newList(t, 0)
		i, _ := testIssuer(t, func(cfg *IssuerConfig) { cfg.Keys = []SigningKey{signingKey("HS256")} })
		cfg.Trust = []Trust{{Issuers: []string{testIss}, Audiences: []string{testAPI}, Keys: i.Keys()}}
		cfg.Revocations = list
		v := newVerifier(t, cfg)
		raceToEnd(t, 1000, func(round int) (func() bool, func() error) {
			token := mint(t, i, MintRequest{Subject: fmt.Sprint(round)}).AccessToken
			_, claims := decoded(t, token)
			return accepted(t, v, token), func() error {
				switch round % 3 {
				case 0:
					return list.Revoke(claims["jti"].(string), time.Time{})
				case 1:
					return list.Revoke(claims["sid"].(string), time.Time{})
				}
				return list.RevokeSubject(testIss, fmt.Sprint(round), time.Now().Add(time.Minute), time.Time{})
			}
		})
	}
}

// Nor after its key was taken away: from a Keyring, or by an Issuer that rotates.
func TestNoAcceptAfterKeyRemoved(t *testing.T) {
	keys := []SigningKey{signingKey("EdDSA"), signingKey("ES256")}
	i, _ := testIssuer(t, func(cfg *IssuerConfig) { cfg.Keys = keys })
	token := mint(t, i, MintRequest{Subject: "ada"}).AccessToken
	with := i.Keys().KeySet()
	if err := i.Rotate(keys[1:]); err != nil {
		t.Fatal(err)
	}
	without := i.Keys().KeySet()
	for _, entries := range []int{0, -1} {
		ring := NewKeyring(nil)
		trust := Trust{Issuers: []string{testIss}, Audiences: []string{testAPI}, Keys: ring}
		v := newVerifier(t, Config{Trust: []Trust{trust}, CacheEntries: entries})
		raceToEnd(t, 300, func(round int) (func() bool, func() error) {
			ring.Replace(with)
			return accepted(t, v, token), func() error {
				ring.Replace([]*KeySet{without, nil}[round%2])
				return nil
			}
		})
		trust.Keys = i.Keys()
		v = newVerifier(t, Config{Trust: []Trust{trust}, CacheEntries: entries})
		raceToEnd(t, 300, func(round int) (func() bool, func() error) {
			if err := i.Rotate([][]SigningKey{keys, {keys[1], keys[0]}}[round%2]); err != nil {
				t.Fatal(err)
			}
			return accepted(t, v, token), func() error { return i.Rotate(keys[1:]) }
		})
	}
}

// No refresh that begins after its session was revoked is served, and no access
// token of one that began before is good then.
func TestNoRefreshAfterRevoke(t *testing.T) {
	list := newList(t, 0)
	i, v := testIssuer(t, func(cfg *IssuerConfig) {
		cfg.Keys, cfg.Revocations = []SigningKey{signingKey("HS256")}, list
	})
	raceToEnd(t, 1000, func(int) (func() bool, func() error) {
		tokens := mint(t, i, MintRequest{Subject: "ada"})
		sid := verified(t, v, tokens.AccessToken).Claims["sid"].(string)
		var mu sync.Mutex // one client, which refreshes once at a time
		refreshes := func() bool {
			mu.Lock()
			defer mu.Unlock()
			next, err := i.Refresh(context.Background(), tokens.RefreshToken)
			if err != nil {
				return false
			}
			tokens = next
			return true
		}
		return refreshes, func() error {
			if err := list.Revoke(sid, time.Time{}); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			notVerified(t, v, tokens.AccessToken, "of a session that was revoked")
			return nil
		}
	})
}

// The cache and the list together, without the signatures that take most of a Verifier's
// time: the generation is read before the list is asked, and an entry holds only as of the
// current one.
func TestNoCachedAcceptAfterRevoke(t *testing.T) {
	list := newList(t, 0)
	c := newCache(100, 1<<20, false)
	raceToEnd(t, 1000, func(round int) (func() bool, func() error) {
		jti := fmt.Sprint(round)
		p := bearer("i", "s", jti, "", 0)
		accepts := func() bool {
			revision := list.Generation()
			if e := c.get(jti); e != nil && e.revision.Load() == revision {
				return true
			}
			if list.Revoked(p) {
				return false
			}
			e := &entry{p: p, until: 1, size: 100}
			e.revision.Store(revision)
			c.put(jti, e)
			return true
		}
		return accepts, func() error { return list.Revoke(jti, time.Time{}) }
	})
}
