package breaker_test

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ballast-go/ballast/breaker"
)

// Whatever goes on meanwhile, each call is counted once.
func TestStressAccounting(t *testing.T) {
	cfg := breaker.Config{
		ConsecutiveFailures: 5, Window: 10 * time.Millisecond, OpenFor: time.Millisecond,
		MaxOpenFor: 2 * time.Millisecond, ProbeTTL: 20 * time.Millisecond, SlowAfter: time.Millisecond,
	}
	b := newBreaker(t, cfg)
	var calls, done, refused atomic.Uint64
	var now atomic.Int64 // a clock that all move
	start := b.Epoch()
	var wg sync.WaitGroup
	for seed := range uint64(16) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 5))
			for i := range 3000 {
				at := start.Add(time.Duration(now.Add(rng.Int64N(20_000))))
				calls.Add(1)
				p, err := b.AllowAt(at)
				if err != nil {
					refused.Add(1)
					continue
				}
				if rng.IntN(4) == 0 {
					p.FirstByteAt(at)
				}
				switch {
				case i%500 == 1:
					b.Reset()
				case i%300 == 2:
					next := cfg
					next.Window = time.Duration(10+rng.IntN(3)) * time.Millisecond
					if err := b.Reconfigure(next); err != nil {
						t.Error(err)
					}
				case i%1000 == 3:
					b.ForceClosed()
				case i%1000 == 4:
					b.ForceOpen()
				}
				o := breaker.Outcome(rng.IntN(3))
				var twice sync.WaitGroup
				twice.Go(func() { p.DoneAt(at.Add(time.Microsecond), o) })
				p.DoneAt(at.Add(time.Microsecond), o)
				twice.Wait()
				done.Add(1)
			}
		})
	}
	wg.Wait()
	s := b.Stats()
	if got := s.Successes + s.Failures + s.Ignored + s.Late; got != done.Load() || s.Rejected != refused.Load() {
		t.Errorf("%d counted of %d, %d turned away of %d: %+v", got, done.Load(), s.Rejected, refused.Load(), s)
	}
	if s.Rejected+done.Load() != calls.Load() {
		t.Errorf("%d calls: %+v", calls.Load(), s)
	}
}
