package authjwt

import (
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/auth"
)

func newList(t testing.TB, entries int) *RevocationList {
	t.Helper()
	l, err := NewRevocationList(RevocationListConfig{MaxEntries: entries})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// bearer is a principal with a jti, a sid and an iat, each left out if empty.
func bearer(issuer, subject, jti, sid string, iat float64) *auth.Principal {
	p := &auth.Principal{Issuer: issuer, Subject: subject, Claims: map[string]any{}}
	if jti != "" {
		p.Claims["jti"] = jti
	}
	if sid != "" {
		p.Claims["sid"] = sid
	}
	if iat != 0 {
		p.Claims["iat"] = iat
	}
	return p
}

func TestRevoke(t *testing.T) {
	l := newList(t, 0)
	later := time.Now().Add(time.Hour)
	before := l.Generation()
	if err := l.Revoke("one", later); err != nil {
		t.Fatal(err)
	}
	if l.Generation() == before {
		t.Error("the generation is the same")
	}
	for _, c := range []struct {
		p    *auth.Principal
		want bool
	}{
		{bearer("i", "s", "one", "", 0), true},
		{bearer("i", "s", "two", "one", 0), true},
		{bearer("i", "s", "two", "three", 0), false},
		{bearer("i", "one", "", "", 0), false},
		{bearer("one", "s", "", "", 0), false},
		{&auth.Principal{}, false},
		{&auth.Principal{Claims: map[string]any{"jti": 1.0}}, false},
	} {
		if got := l.Revoked(c.p); got != c.want {
			t.Errorf("%+v: revoked %t", c.p, got)
		}
	}
}

func TestRevokeSubject(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		before time.Time
		iat    any
		want   bool
	}{
		{at, 1_799_999_999.0, true},
		{at, 1_799_999_999.9, true},
		{at, 1_800_000_000.0, false},
		{at.Add(1), 1_800_000_000.0, true}, // it may have been issued before, in that second
		{at.Add(-1), 1_800_000_000.0, false},
		{at, nil, true},
		{at, "1900000000", true},
		{at, 1e300, true},
		{at, -1.0, true},
		{time.Time{}, 1_900_000_000.0, true},
		{time.Unix(-5, 0), 0.0, false},
		{time.Unix(-5, 0), nil, true},
	} {
		l := newList(t, 0)
		generation := l.Generation()
		if err := l.RevokeSubject("i", "s", c.before, time.Time{}); err != nil {
			t.Fatal(err)
		}
		if l.Generation() == generation {
			t.Error("the generation is the same")
		}
		p := bearer("i", "s", "", "", 0)
		if c.iat != nil {
			p.Claims["iat"] = c.iat
		}
		if got := l.Revoked(p); got != c.want {
			t.Errorf("issued %v, revoked before %v: %t", c.iat, c.before, got)
		}
		for _, p := range []*auth.Principal{bearer("i", "other", "", "", 1), bearer("other", "s", "", "", 1), bearer("is", "", "", "", 1), bearer("", "is", "", "", 1)} {
			if l.Revoked(p) {
				t.Errorf("%+v: revoked, too", p)
			}
		}
	}
}

// A second revocation of a subject never takes from the first.
func TestRevokeSubjectAgain(t *testing.T) {
	l := newList(t, 0)
	for _, before := range []int64{2000, 1000} {
		if err := l.RevokeSubject("i", "s", time.Unix(before, 0), time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if !l.Revoked(bearer("i", "s", "", "", 1500)) {
		t.Error("the earlier time took the later one's place")
	}
}

func TestRevocationsNeverForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newList(t, 2)
		if err := errors.Join(l.Revoke("a", time.Now().Add(time.Hour)), l.RevokeSubject("i", "s", time.Now(), time.Now().Add(2*time.Hour))); err != nil {
			t.Fatal(err)
		}
		full := func() {
			t.Helper()
			generation := l.Generation()
			if err := l.Revoke("b", time.Now().Add(time.Hour)); !errors.Is(err, ErrRevocationsFull) {
				t.Errorf("Revoke: %v", err)
			}
			if err := l.RevokeSubject("i", "t", time.Now(), time.Time{}); !errors.Is(err, ErrRevocationsFull) {
				t.Errorf("RevokeSubject: %v", err)
			}
			if l.Generation() != generation {
				t.Error("a revocation that was not made changed the generation")
			}
			if l.Revoked(bearer("", "", "b", "", 0)) || !l.Revoked(bearer("", "", "a", "", 0)) || !l.Revoked(bearer("i", "s", "", "", 1)) {
				t.Error("the list is not as before")
			}
		}
		full()
		// Those that are there already can be revoked again, and for longer.
		if err := errors.Join(l.Revoke("a", time.Now()), l.RevokeSubject("i", "s", time.Now(), time.Now())); err != nil {
			t.Error(err)
		}
		<-time.After(time.Hour + time.Minute - 1)
		full() // until has passed, but not the minute by which clocks may differ
		<-time.After(1)
		if err := l.Revoke("b", time.Now().Add(3*time.Hour)); err != nil {
			t.Errorf("no room, though one has expired: %v", err)
		}
		if l.Revoked(bearer("", "", "a", "", 0)) || !l.Revoked(bearer("", "", "b", "", 0)) || !l.Revoked(bearer("i", "s", "", "", 1)) {
			t.Error("the wrong one went")
		}
		// b again, for longer than its place in the order of expiry says.
		if err := l.Revoke("b", time.Now().Add(100*time.Hour)); err != nil {
			t.Error(err)
		}
		<-time.After(50 * time.Hour)
		if err := l.Revoke("c", time.Time{}); err != nil {
			t.Error(err)
		}
		if !l.Revoked(bearer("", "", "b", "", 0)) || l.Len() != 2 {
			t.Errorf("b is gone, or %d are there", l.Len())
		}
		<-time.After(100 * 365 * 24 * time.Hour)
		if err := l.Revoke("d", time.Time{}); err != nil {
			t.Error(err)
		}
		if !l.Revoked(bearer("", "", "c", "", 0)) {
			t.Error("what is to be kept forever is gone")
		}
	})
}

func TestRevocationListErrors(t *testing.T) {
	if _, err := NewRevocationList(RevocationListConfig{MaxEntries: -1}); err == nil {
		t.Error("a bound below 0")
	}
	l := newList(t, 0)
	for _, err := range []error{l.Revoke("", time.Time{}), l.RevokeSubject("", "s", time.Time{}, time.Time{}), l.RevokeSubject("i", "", time.Time{}, time.Time{})} {
		if err == nil {
			t.Error("an empty name was taken")
		}
	}
	if l.Len() != 0 || l.Generation() != 0 {
		t.Error("an error revoked something")
	}
}

// The ledger against a plain map that is searched from end to end.
func TestLedgerAgainstMap(t *testing.T) {
	for seed := range uint64(50) {
		r := mrand.New(mrand.NewPCG(seed, 4))
		limit := 1 + r.IntN(20)
		l, reference := newLedger[int](limit), map[name]int64{}
		now := int64(0)
		for range 2000 {
			now += r.Int64N(3)
			n, until := nameOf(fmt.Sprint(r.IntN(40))), now+r.Int64N(60)
			got := l.put(n, until, now) != nil
			for m, end := range reference {
				if end <= now {
					delete(reference, m)
				}
			}
			want := reference[n] != 0 || len(reference) < limit
			if want {
				reference[n] = max(reference[n], until)
			}
			if got != want || len(l.entries) != len(reference) || len(l.expiry) != len(reference) {
				t.Fatalf("seed %d, at %d: put %t, not %t; %d entries, %d in the heap, not %d", seed, now, got, want, len(l.entries), len(l.expiry), len(reference))
			}
			for m, end := range reference {
				if d := l.of(m); d == nil || d.until != end {
					t.Fatalf("seed %d: %v, not until %d", seed, d, end)
				}
			}
		}
	}
}

// Whoever sees a generation sees the revocations that made it: a Verifier that
// remembers a token as of that generation relies on it.
func TestRevocationIsSeenWithItsGeneration(t *testing.T) {
	l := newList(t, 10_000)
	var wg sync.WaitGroup
	const n = 2000
	wg.Go(func() {
		for i := range n {
			if err := l.Revoke(fmt.Sprint(i), time.Time{}); err != nil {
				t.Error(err)
			}
		}
	})
	for range 3 {
		wg.Go(func() {
			for {
				g := l.Generation()
				if g > 0 && !l.Revoked(bearer("i", "s", fmt.Sprint(g-1), "", 0)) {
					t.Errorf("generation %d without its revocation", g)
					return
				}
				if g == n {
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestRevokedAllocs(t *testing.T) {
	if raceEnabled {
		return
	}
	l := newList(t, 0)
	if err := l.Revoke("somebody else's", time.Time{}); err != nil {
		t.Fatal(err)
	}
	p := bearer("https://issuer.example", "ada", "a-jti-of-the-usual-length-26", "a-sid-of-the-usual-length-26", 1)
	if n := testing.AllocsPerRun(100, func() { l.Revoked(p) }); n != 0 {
		t.Errorf("Revoked allocates %v times", n)
	}
}
