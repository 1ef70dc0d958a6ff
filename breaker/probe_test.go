package breaker_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/ballast-go/ballast/breaker"
)

func trips3(probes int) breaker.Config {
	return breaker.Config{ConsecutiveFailures: 3, Probes: probes, ProbeTTL: time.Second, OpenFor: time.Second, MaxOpenFor: 8 * time.Second}
}

// Probes that are lost make the breaker reopen, for longer and longer, up to
// MaxOpenFor.
func TestLostProbesReopenForLonger(t *testing.T) {
	b, c := newBreaker(t, trips3(3)), newClock()
	c.fail(t, b, 3)
	for _, most := range []time.Duration{1000, 1250, 1562, 1953, 2441, 3051, 3814, 4768, 5960, 7450, 8000, 8000} {
		most *= time.Millisecond
		if d := b.Gate().Sub(c.t); d < most/2 || d > most+2*time.Millisecond {
			t.Fatalf("open for %v, want %v to %v", d, most/2, most)
		}
		c.t = b.Gate()
		for range 3 {
			c.allow(t, b)
		}
		c.pass(time.Second - 1)
		c.refused(t, b)
		want(t, b, breaker.HalfOpen)
		c.pass(1)
		c.refused(t, b)
		want(t, b, breaker.Open)
	}
	if s := b.Stats(); s.ExpiredProbes != 36 || s.Opened != 13 {
		t.Errorf("%+v", s)
	}
}

// A breaker that stayed closed for a Window opens for OpenFor again, another one
// does not.
func TestOpenForStartsAnew(t *testing.T) {
	for closedFor, most := range map[time.Duration]time.Duration{time.Minute: time.Second, time.Second: 1250 * time.Millisecond} {
		b, c := newBreaker(t, trips3(1)), newClock()
		c.halfOpen(t, b, 3)
		c.recovering(t, b, 1, time.Millisecond)
		c.untilClosed(t, b, 10*time.Millisecond, time.Millisecond, time.Minute)
		c.pass(closedFor)
		c.fail(t, b, 3)
		if d := b.Gate().Sub(c.t); d > most || d < most/2 {
			t.Errorf("closed for %v, then open for %v", closedFor, d)
		}
	}
}

func TestIgnoredProbeFreesItsPlace(t *testing.T) {
	b, c := newBreaker(t, trips3(2)), newClock()
	c.halfOpen(t, b, 3)
	c.allow(t, b)
	for range 100 {
		p := c.allow(t, b)
		c.refused(t, b)
		p.DoneAt(c.t, breaker.Ignore)
		want(t, b, breaker.HalfOpen)
	}
}

func TestStaleOutcomesChangeNothing(t *testing.T) {
	for _, o := range []breaker.Outcome{breaker.Success, breaker.Failure} {
		b, c := newBreaker(t, trips3(2)), newClock()
		var stale []*breaker.Permit
		for range 10 {
			stale = append(stale, c.allow(t, b))
		}
		c.halfOpen(t, b, 3)
		c.allow(t, b)
		for _, p := range stale {
			p.DoneAt(c.t, o)
		}
		want(t, b, breaker.HalfOpen)
		if s := b.Stats(); s.Late != 10 || s.Successes != 0 || s.Failures != 3 {
			t.Errorf("%+v", s)
		}
	}
}

func TestFirstByteOfProbe(t *testing.T) {
	b, c := newBreaker(t, trips3(2)), newClock()
	c.halfOpen(t, b, 3)
	p, q := c.allow(t, b), c.allow(t, b)
	p.FirstByteAt(c.t)
	p.FirstByteAt(c.t) // counts once
	want(t, b, breaker.HalfOpen)
	p.DoneAt(c.t, breaker.Failure) // counts all the same: one of two is the half
	want(t, b, breaker.Open)
	q.DoneAt(c.t, breaker.Success)
	b, c = newBreaker(t, trips3(5)), newClock()
	c.halfOpen(t, b, 3)
	for range 3 { // of five, so that it is clear already
		c.allow(t, b).FirstByteAt(c.t)
	}
	want(t, b, breaker.Recovering)
}

// A probe that panics or exits its goroutine has failed.
func TestProbeThatDoesNotReturn(t *testing.T) {
	ways := map[string]func(){"panic": func() { panic("probe") }, "Goexit": runtime.Goexit}
	for name, way := range ways {
		calls := map[string]func(*breaker.Breaker){
			"Do": func(b *breaker.Breaker) {
				_ = b.Do(t.Context(), func(context.Context) error { way(); return nil })
			},
			"Call": func(b *breaker.Breaker) {
				_, _ = breaker.Call(t.Context(), b, func(context.Context) (int, error) { way(); return 0, nil })
			},
		}
		for how, call := range calls {
			for _, open := range []bool{false, true} {
				b, c := newBreaker(t, trips3(1)), newClock()
				before := uint64(0)
				if open {
					c.halfOpen(t, b, 3)
					before = 3
				}
				done := make(chan struct{})
				go func() {
					defer close(done)
					defer func() { _ = recover() }()
					call(b)
					t.Errorf("%s %s did not go on", name, how)
				}()
				<-done
				if s := b.Stats(); s.Failures != before+1 || open && s.Opened != 2 {
					t.Errorf("%s in %s, open %v: %+v", name, how, open, s)
				}
			}
		}
	}
}
