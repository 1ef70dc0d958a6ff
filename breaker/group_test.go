package breaker_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/breaker"
)

func groupOf[K comparable](tb testing.TB, cfg breaker.GroupConfig[K]) *breaker.Group[K] {
	tb.Helper()
	g, err := breaker.NewGroup(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

// keys are all that have a breaker.
func keys[K comparable](g *breaker.Group[K]) map[K]*breaker.Breaker {
	all := make(map[K]*breaker.Breaker)
	for key, b := range g.All() {
		all[key] = b
	}
	return all
}

// trip makes b open.
func trip(tb testing.TB, b *breaker.Breaker) {
	tb.Helper()
	for b.State() == breaker.Closed {
		report(tb, b, breaker.Failure)
	}
}

func report(tb testing.TB, b *breaker.Breaker, o breaker.Outcome) {
	tb.Helper()
	p, err := b.Allow()
	if err != nil {
		tb.Fatal(err)
	}
	p.Done(o)
}

func TestGroupConfig(t *testing.T) {
	bad := breaker.GroupConfig[string]{
		Breaker: breaker.Config{FailureRate: 2, OnStateChange: func(_, _ breaker.State) {}},
		Max:     -1,
	}
	_, err := breaker.NewGroup(bad)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"GroupConfig.Max is -1", "GroupConfig.Breaker.OnStateChange", "Config.FailureRate is 2"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %s", err, want)
		}
	}
	if _, err := breaker.NewGroup(breaker.GroupConfig[int]{Max: 1<<16 + 1}); err == nil {
		t.Error("too many")
	}
}

func TestGroupNames(t *testing.T) {
	g := groupOf(t, breaker.GroupConfig[int]{Breaker: breaker.Config{Name: "replica"}})
	plain := groupOf(t, breaker.GroupConfig[string]{})
	for got, want := range map[string]string{
		g.Get(7).Name():         "replica/7",
		g.Overflow().Name():     "replica/*",
		plain.Get("m").Name():   "m",
		plain.Overflow().Name(): "*",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// The bad one is left alone, and the others are not.
func TestGroupIsByKey(t *testing.T) {
	var changes []string
	g := groupOf(t, breaker.GroupConfig[string]{OnStateChange: func(key string, from, to breaker.State) {
		changes = append(changes, fmt.Sprint(key, " ", from, " ", to))
	}})
	for i := range 8 {
		g.Get(fmt.Sprint("replica-", i))
	}
	trip(t, g.Get("replica-3"))
	all := keys(g)
	if len(all) != 8 {
		t.Errorf("%d breakers", len(all))
	}
	for key, b := range all {
		if want := key == "replica-3"; (b.State() == breaker.Open) != want || b != g.Get(key) {
			t.Errorf("%s is %v", key, b.State())
		}
	}
	if len(changes) != 1 || changes[0] != "replica-3 closed open" {
		t.Errorf("told of %q", changes)
	}
	for range g.All() {
		break // that it can be left
	}
}

// A million keys cost no more than Max of them.
func TestGroupFlood(t *testing.T) {
	g := groupOf(t, breaker.GroupConfig[string]{Max: 100})
	before := heap()
	for i := range 1_000_000 {
		if b := g.Get(fmt.Sprint("key-", i)); (b == g.Overflow()) != (i >= 100) {
			t.Fatalf("key %d: the overflow: %v", i, b == g.Overflow())
		}
	}
	if n := len(keys(g)); n != 100 {
		t.Errorf("%d breakers", n)
	}
	if grown := int64(heap()) - int64(before); grown > 2<<20 {
		t.Errorf("grown by %d bytes", grown)
	}
	runtime.KeepAlive(g)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A flood over hours is looked at once in a Window, and leaves those alone that are
// used.
func TestGroupFloodOverTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := groupOf(t, breaker.GroupConfig[int]{Max: 20})
		mine := make([]*breaker.Breaker, 10)
		for i := range mine {
			mine[i] = g.Get(-i)
		}
		own := 0
		for i := range 3600 {
			pass(time.Second)
			for j := range mine {
				if g.Get(-j) != mine[j] {
					t.Fatalf("after %d s key %d has another breaker", i, -j)
				}
			}
			if g.Get(i+1) != g.Overflow() {
				own++
			}
			if n := len(keys(g)); n > 20 {
				t.Fatalf("%d breakers", n)
			}
		}
		// Ten places, each new in every other Window of 10 s at the most.
		if own < 1000 || own > 3600/10*10 {
			t.Errorf("%d of 3600 keys got a breaker of their own", own)
		}
	})
}

// full returns a group of one place, that the key "old" has, and has a key come in
// vain, which begins to watch it.
func full(t *testing.T) (*breaker.Group[string], *breaker.Breaker) {
	g := groupOf(t, breaker.GroupConfig[string]{Max: 1})
	old := g.Get("old")
	if g.Get("new") != g.Overflow() {
		t.Fatal("got in at once")
	}
	return g, old
}

func TestGroupMakesRoom(t *testing.T) {
	const window, longest = 10 * time.Second, 30 * time.Second
	for name, tt := range map[string]struct {
		use   func(t *testing.T, old *breaker.Breaker)
		waits time.Duration // until it makes room; 0: never
	}{
		"closed":         {func(*testing.T, *breaker.Breaker) {}, window},
		"closed, called": {func(t *testing.T, old *breaker.Breaker) { pass(5 * time.Second); report(t, old, breaker.Success) }, 2 * window},
		"open":           {func(t *testing.T, old *breaker.Breaker) { trip(t, old) }, longest},
		"half open": {func(t *testing.T, old *breaker.Breaker) {
			trip(t, old)
			pass(6 * time.Second)
			_, _ = old.Allow()
		}, longest},
		"forced open":   {func(_ *testing.T, old *breaker.Breaker) { old.ForceOpen() }, 0},
		"forced closed": {func(_ *testing.T, old *breaker.Breaker) { old.ForceClosed() }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, old := full(t)
				begun := time.Now()
				tt.use(t, old)
				for time.Since(begun) < time.Hour && g.Get("new") == g.Overflow() {
					pass(time.Second)
				}
				took := time.Since(begun)
				if tt.waits == 0 && took < time.Hour || tt.waits > 0 && (took < tt.waits || took > tt.waits+window) {
					t.Errorf("made room after %v", took)
				}
			})
		})
	}
}

// One that is open is worth keeping for as long, even if nobody has asked the group
// for it for longer than that.
func TestGroupKeepsWhatIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := groupOf(t, breaker.GroupConfig[string]{Max: 1, Breaker: breaker.Config{OpenFor: time.Minute}})
		old := g.Get("old")
		for range 120 {
			report(t, old, breaker.Success)
			g.Get("new")
			pass(time.Second)
		}
		trip(t, old)
		for ; old.Stats().RetryAfter > 0; pass(time.Second) {
			if g.Get("new") != g.Overflow() {
				t.Fatalf("forgotten %v too soon", old.Stats().RetryAfter)
			}
		}
		pass(time.Minute)
		if g.Get("new") == g.Overflow() {
			t.Error("kept for ever")
		}
	})
}

// What is asked for within a Window keeps its breaker, no two keys share one that is
// not the overflow, and there are never more than Max: by chance.
func TestGroupProperties(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			g := groupOf(t, breaker.GroupConfig[int]{Max: 1 + rnd.IntN(10), Breaker: breaker.Config{Window: 2 * time.Second, OpenFor: time.Second}})
			type had struct {
				b  *breaker.Breaker
				at time.Time
			}
			of := make(map[int]had)
			owner := make(map[*breaker.Breaker]int)
			for range 3000 {
				key := int(rnd.ExpFloat64() * 8)
				b := g.Get(key)
				if last, ok := of[key]; ok && time.Since(last.at) < 2*time.Second && b != last.b {
					t.Fatalf("seed %d: key %d has another breaker after %v", seed, key, time.Since(last.at))
				}
				delete(of, key)
				if b != g.Overflow() {
					of[key] = had{b, time.Now()}
					if k, ok := owner[b]; ok && k != key {
						t.Fatalf("seed %d: keys %d and %d share a breaker", seed, key, k)
					}
					owner[b] = key
				}
				if p, err := b.Allow(); err == nil {
					p.Done(breaker.Outcome(rnd.IntN(3)))
				}
				if n := len(keys(g)); n > 10 {
					t.Fatalf("%d breakers", n)
				}
				pass(time.Duration(rnd.Int64N(int64(300 * time.Millisecond))))
			}
		})
	}
}

// Neither a key that is there nor one that comes in vain costs memory; the latter
// would, if all were looked through each time.
func TestGroupAllocations(t *testing.T) {
	g := groupOf(t, breaker.GroupConfig[string]{Max: 1000})
	for i := range 1001 {
		g.Get(fmt.Sprint(i))
	}
	for _, key := range []string{"5", "in vain"} {
		if n := testing.AllocsPerRun(1000, func() { g.Get(key) }); n > 0 {
			t.Errorf("%s: %v allocations", key, n)
		}
	}
}

// A key that is not equal to itself is a new one each time.
func TestGroupOfNaN(t *testing.T) {
	g := groupOf(t, breaker.GroupConfig[float64]{Max: 3})
	for range 1000 {
		g.Get(math.NaN())
	}
	n := 0
	for range g.All() {
		n++
	}
	if n != 3 || g.Get(math.NaN()) != g.Overflow() {
		t.Errorf("%d breakers", n)
	}
}

func TestGroupConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := groupOf(t, breaker.GroupConfig[int]{
			Max:           50,
			Breaker:       breaker.Config{Window: time.Second, OpenFor: 10 * time.Millisecond},
			OnStateChange: func(int, breaker.State, breaker.State) {},
		})
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(i), 0))
				for range 2000 {
					key := rnd.IntN(10) // in use all the time
					if rnd.IntN(3) == 0 {
						key = rnd.IntN(100_000)
					}
					if p, err := g.Get(key).Allow(); err == nil {
						p.Done(breaker.Outcome(rnd.IntN(3)))
					}
					switch rnd.IntN(100) {
					case 0:
						pass(100 * time.Millisecond)
					case 1:
						if n := len(keys(g)); n > 50 {
							t.Errorf("%d breakers", n)
						}
					}
				}
			})
		}
		wg.Wait()
	})
}

// All goroutines that are the first to ask for a key get the same breaker, although
// they meet at the lock: who has it is in the middle of making the breaker.
func TestGroupFirstConcurrently(t *testing.T) {
	g := groupOf(t, breaker.GroupConfig[slowKey]{})
	var got [8]*breaker.Breaker
	var wg, asking sync.WaitGroup
	asking.Add(len(got))
	for i := range got {
		wg.Go(func() {
			asking.Done()
			got[i] = g.Get(slowKey{&asking})
		})
	}
	wg.Wait()
	for _, b := range got {
		if b != got[0] {
			t.Error("two breakers of one key")
		}
	}
}

// A slowKey has no name before all are asking, and have had time to come to the lock.
type slowKey struct{ asking *sync.WaitGroup }

func (k slowKey) String() string {
	k.asking.Wait()
	for range 1000 {
		runtime.Gosched()
	}
	return "slow"
}

func BenchmarkGroupGet(b *testing.B) {
	g := groupOf(b, breaker.GroupConfig[string]{})
	for i := range 1024 {
		g.Get(fmt.Sprint("host-", i, ".example:443"))
	}
	for _, key := range []string{"host-512.example:443", "another.example:443"} {
		b.Run(key, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				g.Get(key)
			}
		})
	}
}
