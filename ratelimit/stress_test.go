package ratelimit_test

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ballast-go/ballast/ratelimit"
)

// Many goroutines, few cells, time that runs and jitters, gifts and debts: no
// key ever gets more than Burst + Rate·t + what it gave back, and the counts are
// exact.
func TestStress(t *testing.T) {
	for _, maxKeys := range []int{1, 20, 1000} {
		t.Run(strconv.Itoa(maxKeys), func(t *testing.T) { stress(t, maxKeys) })
	}
}

func stress(t *testing.T, maxKeys int) {
	const (
		goroutines, calls = 8, 4000
		keys              = 40
		step              = 100 * time.Microsecond
	)
	limit := ratelimit.Limit{Rate: 100, Burst: 5}
	k := newKeyed(t, ratelimit.Config{Limit: limit, MaxKeys: maxKeys})
	start := time.Now()
	var clock atomic.Int64
	var allowed, denied atomic.Uint64
	var got [keys]atomic.Int64
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 6))
			for range calls {
				at := clock.Add(int64(step))
				if rnd.IntN(3) == 0 {
					at -= rnd.Int64N(int64(200 * time.Millisecond))
				}
				i := rnd.IntN(keys)
				n := 1 + rnd.IntN(3)
				d := k.AllowAt(start.Add(time.Duration(at)), strconv.Itoa(i), n)
				if d.Remaining < 0 || d.Remaining > limit.Burst || d.ResetAfter < 0 || d.OK != (d.RetryAfter == 0) {
					t.Errorf("%+v", d)
				}
				if !d.OK {
					denied.Add(1)
					continue
				}
				allowed.Add(1)
				got[i].Add(int64(n))
			}
		})
	}
	wg.Wait()
	span := time.Duration(clock.Load()) + 200*time.Millisecond // the jitter goes before the start
	most := int64(limit.Burst) + int64(float64(limit.Rate)*span.Seconds())
	total := int64(0)
	for i := range got {
		total += got[i].Load()
		if n := got[i].Load(); n > most {
			t.Errorf("key %d got %d, at most %d", i, n, most)
		}
	}
	if s := k.Stats(); s.Allowed != allowed.Load() || s.Denied != denied.Load() || s.Keys > s.Capacity {
		t.Errorf("%+v, want %d and %d", s, allowed.Load(), denied.Load())
	}
	if denied.Load() == 0 || total == 0 {
		t.Error("says nothing")
	}
}

// Gifts do not make more than was taken: each goroutine gives back what it just
// got, so that at no time more than a burst is out.
func TestStressOfReturn(t *testing.T) {
	k := newKeyed(t, ratelimit.Config{Limit: ratelimit.PerDay(3), MaxKeys: 1})
	var out atomic.Int64
	var wg sync.WaitGroup
	granted := make([]int, 8)
	for g := range granted {
		wg.Go(func() {
			for range 5000 {
				if !k.Allow("a") {
					continue
				}
				granted[g]++
				if n := out.Add(1); n > 3 {
					t.Errorf("%d are out", n)
				}
				out.Add(-1)
				if err := k.Return(t.Context(), "a", 1); err != nil {
					t.Error(err)
				}
				k.AllowAt(time.Now().Add(-time.Hour), strconv.Itoa(g), 1)
			}
		})
	}
	wg.Wait()
	total := 0
	for _, n := range granted {
		total += n
	}
	if total < 1000 {
		t.Errorf("only %d granted", total)
	}
	if d := k.AllowAt(time.Now(), "a", 3); !d.OK {
		t.Errorf("not all was given back: %+v", d)
	}
}
