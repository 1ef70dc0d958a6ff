package concurrency

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Calls are timed one by one where they are rare, and one in sixteen where there
// are more than 10,000 a second; and the limit is found either way.
func TestSparse(t *testing.T) {
	l, err := New(Config{Adaptive: &Adaptive{}})
	if err != nil {
		t.Fatal(err)
	}
	timed := func() (n int) {
		for range 80 {
			p, err := l.Acquire(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if p.state.Load()>>startShift != 0 {
				n++
			}
			p.Release()
		}
		return n
	}
	now := l.clock() + 1e12
	for _, tt := range []struct {
		calls uint64 // in the 200 ms before
		timed int
	}{{100, 80}, {2001, 5}, {100, 80}, {1e6, 5}, {1999, 80}} {
		l.tick(now, nil)
		l.state.Add((tt.calls) << ticketShift)
		now += 2e8
		l.tick(now, nil)
		l.tickedAt.Store(l.clock()) // so that the calls below are not judged
		if n := timed(); n != tt.timed {
			t.Errorf("after %d calls in 200ms %d of 80 are timed, want %d", tt.calls, n, tt.timed)
		}
		now += 2e8
	}
	l.tick(now, nil)
	l.tick(now-1e9, nil) // the clock went back
	if l.sparse.Load() != 0 {
		t.Error("a clock that goes back looks like many calls")
	}
}

// A call right after New is one in no time, and no sign of many.
func TestFirstCallIsNoSignOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := New(Config{Adaptive: &Adaptive{}})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			p, err := l.Acquire(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if p.state.Load()>>startShift == 0 {
				t.Error("a call is not timed")
			}
			p.Release()
		}
	})
}

// Where all calls are of the lowest class, half of the limit is all they reach.
// It grows nevertheless if that is not enough, and only then.
func TestLimitGrowsForTheLowestClass(t *testing.T) {
	for callers, low := range map[int]int{40: 60, 8: 20} {
		synctest.Test(t, func(t *testing.T) {
			l, err := New(Config{Adaptive: &Adaptive{Initial: 20}})
			if err != nil {
				t.Fatal(err)
			}
			ctx := ContextWithCriticality(context.Background(), Sheddable)
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for range 200 {
						p, err := l.Acquire(ctx)
						passed := make(chan struct{})
						time.AfterFunc(50*time.Millisecond, func() { close(passed) })
						<-passed
						if err == nil {
							p.Release()
						}
					}
				})
			}
			wg.Wait()
			if n := l.Stats().Limit; n < low || low == 20 && n > 20 {
				t.Errorf("%d callers: the limit is %d", callers, n)
			}
		})
	}
}
