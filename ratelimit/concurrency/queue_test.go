package concurrency_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/ratelimit/concurrency"
)

const (
	plus     = concurrency.CriticalPlus
	critical = concurrency.Critical
	shedPlus = concurrency.SheddablePlus
	shed     = concurrency.Sheddable
)

func TestQueueIsInOrderWithinAClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, concurrency.Config{Max: 1, MaxQueue: 20})
		p := mustAcquire(t, l)
		var calls []*call
		for _, c := range []concurrency.Criticality{shed, critical, shedPlus, plus, critical, shed, plus} {
			calls = append(calls, start(l, c, 0))
		}
		if s := l.Stats(); s.Queued != 7 || s.Classes[0].Queued != 2 || s.Classes[0].Class != plus || s.Classes[3].Queued != 2 {
			t.Errorf("%+v", s)
		}
		for _, i := range []int{3, 6, 1, 4, 2, 0, 5} {
			for j, c := range calls {
				if c != nil && !c.waits() {
					t.Fatalf("call %d came before %d", j, i)
				}
			}
			p.Release()
			calls[i].wants(t, nil)
			p, calls[i] = calls[i].permit, nil
		}
		p.Release()
		wantIdle(t, l)
	})
}

// Who waits is not overtaken by who comes.
func TestNobodyJumpsTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, concurrency.Config{Max: 2, MaxQueue: 10, MaxBytes: 100})
		a, b := start(l, critical, 60), start(l, critical, 10)
		large := start(l, critical, 80)
		small := start(l, critical, 10)
		b.permit.Release()
		lower := start(l, shed, 1)
		small2 := start(l, critical, 10) // for which there would be room
		if !large.waits() || !small.waits() || !small2.waits() || !lower.waits() {
			t.Error("a small one passes a large one that waits")
		}
		higher := start(l, plus, 10)
		higher.wants(t, nil) // but a higher class does
		higher.permit.Release()
		a.permit.Release()
		large.wants(t, nil)
		small.wants(t, nil)
		large.permit.Release()
		small2.wants(t, nil)
		small2.permit.Release()
		if !lower.waits() {
			t.Error("Sheddable has more than half of two permits")
		}
		small.permit.Release()
		lower.wants(t, nil)
		lower.permit.Release()
		wantIdle(t, l)
	})
}

func TestQueueShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, concurrency.Config{Max: 1, MaxQueue: 4})
		p := mustAcquire(t, l)
		first, second := start(l, shed, 0), start(l, shed, 0)
		start(l, shed, 0).wants(t, concurrency.ErrShed) // half of the queue
		third := start(l, shedPlus, 0)
		fourth := start(l, shedPlus, 0) // three quarters: the newest of the lowest goes
		second.wants(t, concurrency.ErrShed)
		fifth := start(l, shedPlus, 0)
		first.wants(t, concurrency.ErrShed)
		start(l, shedPlus, 0).wants(t, concurrency.ErrShed) // nobody is lower
		sixth := start(l, critical, 0)
		start(l, shed, 0).wants(t, concurrency.ErrQueueFull)
		seventh := start(l, plus, 0) // full
		fifth.wants(t, concurrency.ErrShed)
		eighth := start(l, plus, 0)
		fourth.wants(t, concurrency.ErrShed)
		ninth := start(l, plus, 0)
		third.wants(t, concurrency.ErrShed)
		start(l, critical, 0).wants(t, concurrency.ErrQueueFull)
		tenth := start(l, plus, 0)
		sixth.wants(t, concurrency.ErrShed)
		for _, c := range []*call{seventh, eighth, ninth, tenth} {
			p.Release()
			c.wants(t, nil)
			p = c.permit
		}
		p.Release()
		wantIdle(t, l)
		s := l.Stats()
		if c := s.Classes; c[0].QueueFull != 0 || c[1].QueueFull != 1 || c[3].QueueFull != 1 || c[3].Shed != 1 || c[2].Shed != 1 ||
			c[3].Displaced != 2 || c[2].Displaced != 3 || c[1].Displaced != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// Without a queue, too, it is said why: the limit is reached, or a share of it.
func TestShedWithoutAQueue(t *testing.T) {
	l := newLimiter(t, concurrency.Config{Max: 2})
	p := mustAcquire(t, l)
	if _, err := l.Acquire(as(shed)); !errors.Is(err, concurrency.ErrShed) {
		t.Error(err)
	}
	q := mustAcquire(t, l)
	if _, err := l.Acquire(as(shed)); !errors.Is(err, concurrency.ErrQueueFull) {
		t.Error(err)
	}
	p.Release()
	q.Release()
}

func TestWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, concurrency.Config{Max: 1, MaxQueue: 10, MaxWait: 3 * time.Second})
		p := mustAcquire(t, l)
		began := time.Now()
		waits := start(l, critical, 0)
		leaves := start(l, critical, 0)
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if _, err := l.Acquire(ctx); err != context.DeadlineExceeded || time.Since(began) != 2*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		leaves.cancel()
		leaves.wants(t, context.Canceled)
		waits.wants(t, concurrency.ErrTimeout)
		if d := waits.at.Sub(began); d != 3*time.Second {
			t.Errorf("waited %v of 3s", d)
		}
		if c := l.Stats().Classes[1]; c.TimedOut != 1 || c.Gone != 2 || c.Queued != 0 {
			t.Errorf("%+v", c)
		}
		p.Release()
		wantIdle(t, l)
	})
}

func TestWaitIsASecondByDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, concurrency.Config{Max: 1, MaxQueue: 1})
		mustAcquire(t, l)
		began := time.Now()
		if _, err := l.Acquire(context.Background()); !errors.Is(err, concurrency.ErrTimeout) || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// One that leaves may have been what kept those behind it out.
func TestWhoLeavesMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, concurrency.Config{Max: 10, MaxQueue: 10, MaxBytes: 100})
		a := start(l, critical, 90)
		large, small := start(l, critical, 50), start(l, critical, 10)
		if !large.waits() || !small.waits() {
			t.Fatal("they do not wait")
		}
		large.cancel()
		small.wants(t, nil)
		large.wants(t, context.Canceled)
		a.permit.Release()
		small.permit.Release()
		wantIdle(t, l)
	})
}

func TestRaisedLimitLetsWaitersIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, concurrency.Config{Max: 1, MaxQueue: 10})
		p := mustAcquire(t, l)
		a, b := start(l, critical, 0), start(l, critical, 0)
		if err := l.SetMax(3); err != nil {
			t.Fatal(err)
		}
		a.wants(t, nil)
		b.wants(t, nil)
		for _, p := range []*concurrency.Permit{p, a.permit, b.permit} {
			p.Release()
		}
		wantIdle(t, l)
	})
}

// A reference is the queue without any cleverness: every call in the order of
// arrival, and a search of them all at each step.
type reference struct {
	max, maxQueue int
	maxBytes      int64
	out, waiting  []*referred
}

type referred struct {
	class concurrency.Criticality
	bytes int64
	err   error // nil while it waits, and with a permit
	call  *call
}

func (r *reference) share(c concurrency.Criticality, of int64) int64 {
	quarters := map[concurrency.Criticality]int64{plus: 4, critical: 4, shedPlus: 3, shed: 2}[c]
	return (of*quarters + 3) / 4
}

func (r *reference) fits(c *referred) bool {
	var used int64
	for _, o := range r.out {
		used += o.bytes
	}
	if c.bytes > 0 && used > 0 && used+c.bytes > r.maxBytes*r.share(c.class, 4)/4 {
		return false
	}
	return int64(len(r.out)) < r.share(c.class, int64(r.max))
}

func (r *reference) settle() {
	for {
		var best *referred
		for _, w := range r.waiting {
			if best == nil || w.class > best.class {
				best = w
			}
		}
		if best == nil || !r.fits(best) {
			return
		}
		r.out = append(r.out, best)
		r.waiting = without(r.waiting, best)
	}
}

func (r *reference) arrive(c *referred) {
	behind := slices.ContainsFunc(r.waiting, func(w *referred) bool { return w.class >= c.class })
	if !behind && r.fits(c) {
		r.out = append(r.out, c)
		return
	}
	if n := len(r.waiting); int64(n) >= r.share(c.class, int64(r.maxQueue)) {
		var worst *referred
		for _, w := range r.waiting {
			if worst == nil || w.class <= worst.class {
				worst = w
			}
		}
		switch {
		case worst != nil && worst.class < c.class:
			worst.err = concurrency.ErrShed
			r.waiting = without(r.waiting, worst)
		case n < r.maxQueue, r.share(c.class, int64(r.max)) < int64(r.max) && len(r.out) < r.max:
			c.err = concurrency.ErrShed
			return
		default:
			c.err = concurrency.ErrQueueFull
			return
		}
	}
	r.waiting = append(r.waiting, c)
}

func without(s []*referred, c *referred) []*referred {
	return slices.DeleteFunc(slices.Clone(s), func(o *referred) bool { return o == c })
}

func FuzzQueue(f *testing.F) {
	f.Add(uint8(2), uint8(3), []byte("a few calls of each class, and some that leave early"))
	f.Add(uint8(4), uint8(8), []byte("\x01\x02\x03\x05\x08\x0d\x15\x22\x37\x59\x90\xe9\x79\x62\xdb\x3d\x18\x55\x6d\xc2\x2f\xf1\x20\x11\x31"))
	f.Add(uint8(1), uint8(0), []byte("\x10\x20\x30\x40\x03\x03\x50\x60"))
	f.Fuzz(func(t *testing.T, limit, queue uint8, data []byte) {
		synctest.Test(t, func(t *testing.T) {
			r := &reference{max: int(limit%8) + 1, maxQueue: int(queue % 16), maxBytes: 40}
			l := newLimiter(t, concurrency.Config{Max: r.max, MaxQueue: r.maxQueue, MaxBytes: r.maxBytes, MaxWait: time.Hour})
			var all []*referred
			for i, b := range data[:min(len(data), 200)] {
				switch {
				case b%4 == 3 && len(r.out) > 0:
					c := r.out[int(b)/4%len(r.out)]
					r.out = without(r.out, c)
					c.call.permit.Release()
				case b%4 == 2 && len(r.waiting) > 0:
					c := r.waiting[int(b)/4%len(r.waiting)]
					r.waiting = without(r.waiting, c)
					c.err = context.Canceled
					c.call.cancel()
				default:
					c := &referred{class: concurrency.Criticality(b/4%4) - 2, bytes: int64(b/16) * int64(i%3)}
					all = append(all, c)
					r.arrive(c)
					c.call = start(l, c.class, c.bytes)
				}
				r.settle()
				for j, c := range all {
					if w := slices.Contains(r.waiting, c); w != c.call.waits() {
						t.Fatalf("step %d, call %d: waits %t, of the reference %t", i, j, !w, w)
					} else if !w && !errors.Is(c.call.err, c.err) {
						t.Fatalf("step %d, call %d: %v, of the reference %v", i, j, c.call.err, c.err)
					}
				}
				if s := l.Stats(); s.InFlight != len(r.out) || s.Queued != len(r.waiting) {
					t.Fatalf("step %d: %d out, %d wait; of the reference %d, %d", i, s.InFlight, s.Queued, len(r.out), len(r.waiting))
				}
			}
			for _, c := range all {
				c.call.cancel()
				synctest.Wait()
			}
			for _, c := range all {
				c.call.permit.Release()
			}
			wantIdle(t, l)
		})
	})
}
