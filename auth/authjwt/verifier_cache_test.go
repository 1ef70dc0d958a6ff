package authjwt

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ballast-go/ballast/auth"
)

// revoked is a Revocations under the test's control.
type revoked struct {
	generation atomic.Uint64
	subjects   sync.Map
	during     func() // called by Revoked
}

func (r *revoked) Generation() uint64 { return r.generation.Load() }

func (r *revoked) Revoked(p *auth.Principal) bool {
	if r.during != nil {
		r.during()
	}
	_, found := r.subjects.Load(p.Subject)
	return found
}

func (r *revoked) revoke(subject string) {
	r.subjects.Store(subject, true)
	r.generation.Add(1)
}

// hits reports whether the cache answers for the token.
func hits(t *testing.T, v *Verifier, token string, at time.Time) bool {
	t.Helper()
	before := v.Stats()
	_, err := authenticate(t, v, token, at)
	return err == nil && v.Stats() == before
}

func TestVerifierCache(t *testing.T) {
	s := &source{set: testSet(t), refresh: func(_ context.Context, seen *KeySet, _ string) (*KeySet, error) { return seen, nil }}
	trust := testTrust(t)
	trust.Keys = s
	list := &revoked{}
	for _, hashed := range []bool{false, true} {
		v := newVerifier(t, Config{Trust: []Trust{trust}, Revocations: list, CacheTTL: 10 * time.Minute, CacheHashed: hashed})
		token := good(t)
		for i, step := range []struct {
			at     time.Duration
			before func()
			hit    bool
		}{
			{0, nil, false},
			{0, nil, true},
			{10*time.Minute - 1, nil, true},
			{10 * time.Minute, nil, false}, // its TTL
			{15*time.Minute + 10*time.Second - 1, nil, true},
			{15*time.Minute + 10*time.Second, nil, false}, // its exp, and leeway
			{time.Minute, nil, false},                     // the clock went back
			{time.Minute, nil, true},
			{time.Minute, func() { s.set = testSet(t) }, false},
			{time.Minute, nil, true},
			{time.Minute, func() { list.revoke("somebody else") }, true},
		} {
			if step.before != nil {
				step.before()
			}
			if got := hits(t, v, token, at.Add(step.at)); got != step.hit {
				t.Errorf("hashed %v, step %d: hit is %v", hashed, i, got)
			}
		}
		p1, _ := authenticate(t, v, token, at.Add(time.Minute))
		p2, _ := authenticate(t, v, token, at.Add(time.Minute))
		if p1 == nil || p1 != p2 {
			t.Errorf("%p, %p: hits do not share a principal", p1, p2)
		}
	}
}

// A bad token is never cached, and one that was good is refused as soon as it
// no longer is.
func TestVerifierCacheForgets(t *testing.T) {
	full := testSet(t)
	s := &source{set: full, refresh: func(_ context.Context, seen *KeySet, _ string) (*KeySet, error) { return seen, nil }}
	trust := testTrust(t)
	trust.Keys = s
	list := &revoked{}
	v := newVerifier(t, Config{Trust: []Trust{trust}, Revocations: list})
	token := good(t)
	want := func(want error) {
		t.Helper()
		for range 2 {
			if _, err := authenticate(t, v, token, at); !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		}
	}
	want(nil)
	s.set = testSet(t, "ES384")
	want(auth.ErrInvalid)
	s.set = full
	want(nil)
	list.revoke("alice")
	want(auth.ErrInvalid)
	if _, err := authenticate(t, v, token, at.Add(time.Hour)); !errors.Is(err, auth.ErrExpired) {
		t.Error(err)
	}
}

// What changes while a token is verified makes what comes out stale: the next
// request verifies it anew.
func TestVerifierCacheCapturesBefore(t *testing.T) {
	set := testSet(t)
	s := &source{set: set, refresh: func(_ context.Context, seen *KeySet, _ string) (*KeySet, error) { return seen, nil }}
	trust := testTrust(t)
	trust.Keys = s
	list := &revoked{}
	list.during = func() { // after the signature was found good
		list.during = nil
		s.set = testSet(t, "ES384")
	}
	v := newVerifier(t, Config{Trust: []Trust{trust}, Revocations: list})
	token := good(t)
	if _, err := authenticate(t, v, token, at); err != nil {
		t.Error(err)
	}
	if _, err := authenticate(t, v, token, at); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("%v: the key was gone before", err)
	}
	v = newVerifier(t, Config{Trust: []Trust{trust}, Revocations: list})
	s.set = set
	list.during = func() {
		list.during = nil
		list.generation.Add(1)
	}
	if _, err := authenticate(t, v, token, at); err != nil {
		t.Error(err)
	}
	asked := 0
	list.during = func() { asked++ }
	for range 2 {
		if _, err := authenticate(t, v, token, at); err != nil || asked != 1 {
			t.Errorf("%v; asked %d times since the generation changed, not once", err, asked)
		}
	}
}

func TestVerifierWithoutCache(t *testing.T) {
	v := newVerifier(t, Config{CacheEntries: -1})
	token := good(t)
	for range 2 {
		if hits(t, v, token, at) {
			t.Error("a hit")
		}
	}
	if s := v.Stats(); s.Verified != 2 {
		t.Errorf("%+v", s)
	}
}

func TestVerifierAllocations(t *testing.T) {
	if raceEnabled {
		return // the detector allocates
	}
	for _, alg := range []string{"ES256", "RS256", "EdDSA"} {
		v := newVerifier(t, Config{})
		c := auth.Credentials{Token: sign(t, alg, goodHeader.with(members{"alg": alg, "kid": alg}), goodClaims), At: at}
		ctx := context.Background()
		authenticated := func() {
			if _, err := v.Authenticate(ctx, c); err != nil {
				t.Fatal(err)
			}
		}
		authenticated()
		if n := leastAllocs(authenticated); n != 0 {
			t.Errorf("%s: a hit allocates %v times", alg, n)
		}
		v.cache = nil
		if n := leastAllocs(authenticated); n > 25 {
			t.Errorf("%s: a miss allocates %v times", alg, n)
		}
	}
}

// leastAllocs is the least of many measurements: what other goroutines allocate is
// counted, and pools are emptied by a collection.
func leastAllocs(f func()) float64 {
	least := testing.AllocsPerRun(20, f)
	for range 20 {
		least = min(least, testing.AllocsPerRun(20, f))
	}
	return least
}
