package authjwt

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// jwksFlood sends tokens with made-up kids from n goroutines until stop is called,
// each again a moment after it was answered.
func jwksFlood(j KeySource, n int, kid func() string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			for ctx.Err() == nil {
				_, _ = jwksAsk(ctx, j, kid())
				jwksWait(ctx, time.Duration(rand.IntN(100)+1)*time.Millisecond)
			}
		})
	}
	return func() { cancel(); all.Wait() }
}

func jwksRandomKid() string { return fmt.Sprintf("%016x", rand.Uint64()) }

// Hundreds of goroutines with made-up kids cause one fetch each MinInterval, one at
// a time. Peers were made to fetch 4,391 times in 2 s.
func TestJWKSFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newJWKSServer("a")
		server.delay = 200 * time.Millisecond
		j := readyJWKS(t, server, JWKSConfig{})
		stop := jwksFlood(j, 500, jwksRandomKid)
		jwksPass(time.Minute)
		stop()
		begun := server.fetches()
		for i := 1; i < len(begun); i++ {
			if d := begun[i].Sub(begun[i-1]); d < time.Second {
				t.Errorf("fetch %d began %v after the one before", i, d)
			}
		}
		if n := len(begun); n < 50 || n > 62 {
			t.Errorf("%d fetches in a minute", n)
		}
		if server.most != 1 {
			t.Errorf("%d fetches at once", server.most)
		}
		if s := j.Stats(); s.Asked < 1000 || s.Waiting != 0 || s.Fetches != uint64(len(begun)) {
			t.Errorf("Stats: %+v", s)
		}
	})
}

// A token with a new key is accepted within MinInterval and one fetch of when the
// source has the key, whenever in the flood that is, and though attackers have asked
// for this very kid all the time.
func TestJWKSRotationUnderFlood(t *testing.T) {
	for name, kid := range map[string]func() string{
		"random kids": jwksRandomKid,
		"few kids":    func() string { return fmt.Sprintf("next-%d", rand.IntN(60)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testRotationUnderFlood(t, kid) })
		})
	}
}

func testRotationUnderFlood(t *testing.T, kid func() string) {
	const fetch = 200 * time.Millisecond
	server := newJWKSServer("a")
	server.delay = fetch
	j := readyJWKS(t, server, JWKSConfig{})
	stop := jwksFlood(j, 200, kid)
	defer stop()
	kids := []string{"a"}
	for i := range 30 {
		jwksPass(time.Duration(rand.IntN(3000)) * time.Millisecond)
		next := fmt.Sprintf("next-%d", i)
		kids = append(kids, next)
		server.publish(kids...)
		published := time.Now()
		for {
			ok, err := jwksAsk(t.Context(), j, next)
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				break
			}
			jwksPass(time.Millisecond)
		}
		if took := time.Since(published); took > time.Second+fetch+time.Millisecond {
			t.Errorf("rotation %d: accepted after %v", i, took)
		}
	}
}

// A legitimate token asks once, and is not refused: with no flood of its very kid
// its one call waits for the fetch that has its key.
func TestJWKSFirstTokenOfANewKeyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const fetch = 300 * time.Millisecond
		server := newJWKSServer("a")
		server.delay = fetch
		j := readyJWKS(t, server, JWKSConfig{})
		stop := jwksFlood(j, 200, jwksRandomKid)
		defer stop()
		kids := []string{"a"}
		for i := range 25 {
			jwksPass(time.Duration(rand.IntN(3000)) * time.Millisecond)
			next := fmt.Sprintf("next-%d", i)
			kids = append(kids, next)
			server.publish(kids...)
			asked := time.Now()
			if ok, err := jwksAsk(t.Context(), j, next); !ok || err != nil {
				t.Fatalf("the token of key %d: %v, %v", i, ok, err)
			}
			if took := time.Since(asked); took > time.Second+fetch {
				t.Errorf("rotation %d: answered after %v", i, took)
			}
		}
	})
}

// More calls than there are places are answered at once with the keys at hand, and
// the fetch is made all the same: after it the new key's tokens need not ask.
func TestJWKSWaitersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newJWKSServer("a")
		j := readyJWKS(t, server, JWKSConfig{})
		begun := time.Now()
		const calls = 3 * maxWaiting
		var atOnce, late atomic.Int64
		var all sync.WaitGroup
		for range calls {
			all.Go(func() {
				seen := j.KeySet()
				set, err := j.Refresh(t.Context(), seen, jwksRandomKid())
				if set == nil || err != nil {
					t.Errorf("Refresh: %p, %v", set, err)
				}
				if time.Since(begun) == 0 {
					atOnce.Add(1)
				} else {
					late.Add(1)
				}
			})
		}
		synctest.Wait()
		if s := j.Stats(); s.Waiting != maxWaiting || s.Refused != calls-maxWaiting {
			t.Errorf("Stats: %+v", s)
		}
		server.publish("a", "b")
		all.Wait()
		if late.Load() != maxWaiting || time.Since(begun) != time.Second {
			t.Errorf("%d calls waited, %d did not, for %v", late.Load(), atOnce.Load(), time.Since(begun))
		}
		if !jwksHas(j.KeySet(), "b") {
			t.Error("the new key is not known after the fetch")
		}
		if s := j.Stats(); s.Waiting != 0 || s.Fetches != 2 {
			t.Errorf("Stats: %+v", s)
		}
	})
}

// What the last document lacks is answered at once, until it may be asked for again;
// each document starts anew.
func TestJWKSAbsentKids(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newJWKSServer("a")
		server.delay = 10 * time.Millisecond
		j := readyJWKS(t, server, JWKSConfig{})
		ask := func(kid string, want bool, wait time.Duration) {
			t.Helper()
			began := time.Now()
			if ok, err := jwksAsk(t.Context(), j, kid); ok != want || err != nil {
				t.Errorf("%s: %v, %v; want %v", kid, ok, err, want)
			}
			if took := time.Since(began); took != wait {
				t.Errorf("%s: answered after %v, want %v", kid, took, wait)
			}
		}
		ask("b", false, time.Second) // the first fetch was a moment ago: 990 ms and 10
		ask("b", false, 0)
		jwksPass(500 * time.Millisecond)
		ask("b", false, 0)
		jwksPass(490 * time.Millisecond)
		ask("b", false, 10*time.Millisecond) // a fetch is allowed again
		ask("b", false, 0)
		server.publish("a", "c")
		ask("c", true, time.Second)   // never asked for
		ask("b", false, time.Second)  // another document
		ask("c", true, 0)             // known
		server.publish("a", "c", "b") // which no token says
		ask("b", false, 0)
		jwksPass(time.Second)
		ask("b", true, 10*time.Millisecond)
		if n := len(server.fetches()); n != 6 {
			t.Errorf("%d fetches", n)
		}
		ask("d", false, time.Second)
		jwksPass(time.Second)
		go func() { _, _ = jwksAsk(t.Context(), j, "made up") }()
		synctest.Wait() // into its fetch
		ask("d", false, 0)
		jwksPass(time.Second)
	})
}

// A fetch that runs when a token comes may have missed its key: another follows.
func TestJWKSWaitsForAFetchThatBeginsAfterTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newJWKSServer("a")
		server.delay = 700 * time.Millisecond
		j := readyJWKS(t, server, JWKSConfig{})
		jwksPass(time.Second)
		go func() { _, _ = jwksAsk(t.Context(), j, "made up") }()
		jwksPass(100 * time.Millisecond) // into its fetch
		server.publish("a", "b")
		began := time.Now()
		if ok, err := jwksAsk(t.Context(), j, "b"); !ok || err != nil {
			t.Errorf("the new key: %v, %v", ok, err)
		}
		if took := time.Since(began); took != 900*time.Millisecond+700*time.Millisecond {
			t.Errorf("answered after %v", took)
		}
	})
}

// The schedule is not the attackers' to spend: with a flood as with none, a document
// is never older than RefreshInterval, and a key that was taken out is gone by then.
func TestJWKSScheduleUnderFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newJWKSServer("a", "b")
		server.delay = 100 * time.Millisecond
		// The flood may cause a fetch a minute, and does.
		j := readyJWKS(t, server, JWKSConfig{RefreshInterval: time.Minute, MinInterval: time.Minute})
		stop := jwksFlood(j, 10, jwksRandomKid)
		defer stop()
		jwksPass(10 * time.Minute)
		server.publish("a")
		jwksPass(time.Minute + server.delay)
		if jwksHas(j.KeySet(), "b") {
			t.Error("a key is trusted for longer than RefreshInterval after it was taken out")
		}
		begun := server.fetches()
		for i := 1; i < len(begun); i++ {
			if d := begun[i].Sub(begun[i-1]); d > time.Minute+server.delay {
				t.Errorf("fetch %d began %v after the one before", i, d)
			}
		}
	})
}
