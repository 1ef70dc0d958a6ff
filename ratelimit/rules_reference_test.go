package ratelimit_test

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/ballast-go/ballast/ratelimit"
)

// ledger is an exact and slow limiter: it remembers all that it let through,
// and decides by replaying it.
type ledger struct {
	limit ratelimit.Limit
	taken map[string][]taking
}

type taking struct {
	at time.Time
	n  int
}

// each is how long the limit takes to make one.
func (l *ledger) each() time.Duration {
	return time.Duration(math.Ceil(1e9 / float64(l.limit.Rate)))
}

// used is how long it takes until nothing is used any more.
func (l *ledger) used(now time.Time, key string) time.Duration {
	var free time.Time
	for _, t := range l.taken[key] {
		if free.Before(t.at) {
			free = t.at
		}
		free = free.Add(time.Duration(t.n) * l.each())
	}
	return max(0, free.Sub(now))
}

// ask is the Decision of a limiter that stays as it was.
func (l *ledger) ask(now time.Time, key string, n int) ratelimit.Decision {
	room := time.Duration(l.limit.Burst) * l.each()
	used := l.used(now, key)
	after := used + time.Duration(n)*l.each()
	d := ratelimit.Decision{Limit: l.limit, OK: after <= room}
	if d.OK {
		used = after
	} else if n > l.limit.Burst {
		d.RetryAfter = rate.InfDuration
	} else {
		d.RetryAfter = after - room
	}
	d.ResetAfter = used
	d.Remaining = int((room - used) / l.each())
	return d
}

func (l *ledger) take(now time.Time, key string, n int) {
	l.taken[key] = append(l.taken[key], taking{now, n})
}

// All decides as somebody who asks each ledger first and takes only if all
// agree: whatever was denied leaves no trace.
func TestAllAgainstLedgers(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			costs := []func(int) int{nil, once, func(n int) int { return 3 * n }, func(n int) int { return n / 4 }}
			keys := []func(context.Context, string) string{
				nil, constant("all"), func(_ context.Context, key string) string { return key[:1] },
			}
			var rules []ratelimit.Rule
			var ledgers []*ledger
			for i := range 1 + rng.IntN(4) {
				limit := ratelimit.Limit{Rate: rate.Limit(1+rng.IntN(3000)) / 60, Burst: 1 + rng.IntN(60)}
				rules = append(rules, ratelimit.Rule{
					Name: fmt.Sprint("rule ", i), Limiter: keyed(t, limit),
					Cost: costs[rng.IntN(len(costs))], Key: keys[rng.IntN(len(keys))],
				})
				ledgers = append(ledgers, &ledger{limit, make(map[string][]taking)})
			}
			l := ratelimit.All(rules...)
			for step := range 120 {
				if rng.IntN(3) == 0 {
					<-time.After(time.Duration(rng.Int64N(int64(time.Second))))
				}
				key, n := []string{"ax", "ay", "bx"}[rng.IntN(3)], 1+rng.IntN(20)
				got, err := l.AllowN(t.Context(), key, n)
				if want := decide(rules, ledgers, key, n); got != want || err != nil {
					t.Fatalf("seed %d, step %d: AllowN(%q, %d): %+v, %v; want %+v", seed, step, key, n, got, err, want)
				}
			}
		})
	}
}

// decide is what All should say, and does it to the ledgers.
func decide(rules []ratelimit.Rule, ledgers []*ledger, key string, n int) ratelimit.Decision {
	now := time.Now()
	type part struct {
		ledger *ledger
		key    string
		cost   int
		d      ratelimit.Decision
	}
	var parts []part
	for i, r := range rules {
		p := part{ledgers[i], key, n, ratelimit.Decision{}}
		if r.Key != nil {
			p.key = r.Key(context.Background(), key)
		}
		if r.Cost != nil {
			p.cost = r.Cost(n)
		}
		if p.cost == 0 {
			continue
		}
		p.d = p.ledger.ask(now, p.key, p.cost)
		p.d.Rule = r.Name
		if !p.d.OK {
			return p.d
		}
		parts = append(parts, p)
	}
	if len(parts) == 0 {
		return ratelimit.Decision{OK: true}
	}
	for _, p := range parts {
		p.ledger.take(now, p.key, p.cost)
	}
	return slices.MinFunc(parts, func(a, b part) int {
		return cmp.Compare(float64(a.d.Remaining)/float64(a.d.Limit.Burst), float64(b.d.Remaining)/float64(b.d.Limit.Burst))
	}).d
}

// admitted is something that a rule let through at some moment between from and
// to.
type admitted struct {
	from, to time.Duration
	n        int
}

// checkWindows looks at each window of time that a first and a last call span:
// whatever was let through wholly within it may not be more than the limit.
func checkWindows(t *testing.T, name string, limit ratelimit.Limit, all []admitted) {
	t.Helper()
	slices.SortFunc(all, func(a, b admitted) int { return cmp.Compare(a.to, b.to) })
	for i := range all {
		from, sum := all[i].from, 0
		for _, a := range all[max(0, i-200):] { // in calls that overlap, one that ended before may have begun later
			if a.from < from {
				continue
			}
			sum += a.n
			if most := float64(limit.Burst) + float64(limit.Rate)*(a.to-from).Seconds(); float64(sum) > most+1e-9 {
				t.Errorf("%s: %d in %v, not more than %v", name, sum, a.to-from, most)
				return
			}
		}
	}
}

// Callers on all cores, with rules that deny each other's calls all the time.
func TestAllNeverLetsMoreThrough(t *testing.T) {
	limits := []ratelimit.Limit{{Rate: 5000, Burst: 20}, {Rate: 50_000, Burst: 300}, {Rate: 30_000, Burst: 500}}
	costs := []func(int) int{once, func(n int) int { return n }, func(n int) int { return n }}
	var rules []ratelimit.Rule
	for i, limit := range limits {
		rules = append(rules, ratelimit.Rule{Name: fmt.Sprint(limit), Limiter: keyed(t, limit), Cost: costs[i]})
	}
	slices.Reverse(rules[1:])
	l := ratelimit.All(rules...)
	var mu sync.Mutex
	let := make([][]admitted, len(limits))
	denied := make(map[string]int)
	start := time.Now()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 2))
			for time.Since(start) < 150*time.Millisecond {
				n := 1 + rng.IntN(40)
				from := time.Since(start)
				d, err := l.AllowN(t.Context(), "key", n)
				to := time.Since(start)
				mu.Lock()
				if err != nil {
					t.Error(err)
				} else if !d.OK {
					denied[d.Rule]++
				} else {
					for i := range let {
						let[i] = append(let[i], admitted{from, to, costs[i](n)})
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for i, limit := range limits {
		checkWindows(t, fmt.Sprint(limit), limit, let[i])
	}
	if len(let[0]) == 0 || len(denied) == 0 {
		t.Errorf("%d let through, denied: %v", len(let[0]), denied)
	}
}

// While a slow rule makes up its mind, the rate of the one before it goes on. It
// does not count twice: once for who comes meanwhile, and again by what is given
// back.
func TestAllGivesBackOnlyWhatIsMissing(t *testing.T) {
	for _, tt := range []struct {
		name                 string
		slow                 time.Duration
		meanwhile, remaining int
	}{
		{"at once", 0, 0, 10},
		{"nobody came", 3 * time.Millisecond, 0, 10},
		{"somebody came", 4 * time.Millisecond, 7, 3},                   // 10-7 + 2 ms, less 4 ms that the call took, and 2 ms since
		{"when the burst was full again", 10 * time.Millisecond, 10, 5}, // 5 ms since; and nothing is missing
	} {
		t.Run(tt.name, func(t *testing.T) {
			givesBack(t, tt.slow, tt.meanwhile, tt.remaining, func(k *ratelimit.Keyed) ratelimit.Limiter { return k })
		})
		t.Run(tt.name+", in whole events", func(t *testing.T) {
			givesBack(t, tt.slow, tt.meanwhile, tt.remaining, func(k *ratelimit.Keyed) ratelimit.Limiter {
				return spy{k, func(context.Context) {}}
			})
		})
	}
}

// givesBack has a call of 5 turned away by a rule that takes its time, and
// another caller take some meanwhile, halfway, of what as makes of a limiter of
// one a millisecond.
func givesBack(t *testing.T, slow time.Duration, meanwhile, remaining int, as func(*ratelimit.Keyed) ratelimit.Limiter) {
	synctest.Test(t, func(t *testing.T) {
		fast := keyed(t, ratelimit.Limit{Rate: 1000, Burst: 10})
		l := ratelimit.All(
			ratelimit.Rule{Name: "fast", Limiter: as(fast)},
			ratelimit.Rule{Name: "slow", Limiter: spy{newAccount(0), func(context.Context) { <-time.After(slow) }}},
		)
		var wg sync.WaitGroup
		wg.Go(func() {
			if d := allow(t, l, 5); d.OK {
				t.Errorf("%+v", d)
			}
		})
		wg.Go(func() {
			<-time.After(slow / 2)
			if d := allow(t, fast, meanwhile); !d.OK {
				t.Errorf("%+v", d)
			}
		})
		wg.Wait()
		if d := allow(t, fast, 0); d.Remaining != remaining {
			t.Errorf("%d are left, want %d", d.Remaining, remaining)
		}
	})
}
