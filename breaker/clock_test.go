package breaker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/ballast-go/ballast/breaker"
)

var allStates = []breaker.State{
	breaker.Closed, breaker.Open, breaker.HalfOpen, breaker.Recovering, breaker.ForcedOpen, breaker.ForcedClosed,
}

// enter brings b into the state, with permits that are out where it has any.
func (c *clock) enter(t *testing.T, b *breaker.Breaker, s breaker.State) (out []*breaker.Permit) {
	t.Helper()
	out = append(out, c.allow(t, b))
	switch s {
	case breaker.Open:
		c.fail(t, b, 3)
	case breaker.HalfOpen:
		c.halfOpen(t, b, 3)
		out = append(out, c.allow(t, b), c.allow(t, b))
	case breaker.Recovering:
		c.halfOpen(t, b, 3)
		c.recovering(t, b, 2, 10*time.Millisecond)
		out = append(out, c.allow(t, b))
	case breaker.ForcedOpen:
		b.ForceOpen()
	case breaker.ForcedClosed:
		b.ForceClosed()
		out = append(out, c.allow(t, b))
	}
	want(t, b, s)
	return out
}

// Wherever a clock jumps to, nobody is turned away for longer from then on than
// without the jump.
func TestClockJumps(t *testing.T) {
	cfg := breaker.Config{
		ConsecutiveFailures: 3, Probes: 2, OpenFor: time.Second, MaxOpenFor: 3 * time.Second, ProbeTTL: 2 * time.Second, SlowAfter: time.Second,
	}
	jumps := map[string]func(b *breaker.Breaker, at time.Time) time.Time{
		"to the zero time":       func(*breaker.Breaker, time.Time) time.Time { return time.Time{} },
		"before it was made":     func(b *breaker.Breaker, _ time.Time) time.Time { return b.Epoch().Add(-time.Minute) },
		"long before it was":     func(b *breaker.Breaker, _ time.Time) time.Time { return b.Epoch().AddDate(-1000, 0, 0) },
		"a thousand years ahead": func(_ *breaker.Breaker, at time.Time) time.Time { return at.AddDate(1000, 0, 0) },
	}
	for _, d := range []time.Duration{time.Second, time.Minute, time.Hour, 365 * 24 * time.Hour} {
		jumps[fmt.Sprint("back by ", d)] = func(_ *breaker.Breaker, at time.Time) time.Time { return at.Add(-d) }
		jumps[fmt.Sprint("ahead by ", d)] = func(_ *breaker.Breaker, at time.Time) time.Time { return at.Add(d) }
	}
	for name, jump := range jumps {
		for _, s := range allStates {
			for _, o := range []breaker.Outcome{breaker.Success, breaker.Failure, breaker.Ignore} {
				b, c := newBreaker(t, cfg), newClock()
				out := c.enter(t, b, s)
				c.t = jump(b, c.t)
				for i, p := range out {
					if i%2 == 0 {
						p.FirstByteAt(c.t)
					}
					p.DoneAt(c.t, o)
				}
				away, let := c.turnedAway(b, 10*time.Second)
				if let == (s == breaker.ForcedOpen) || let && away > cfg.MaxOpenFor {
					t.Errorf("%v, %s, %v: turned away for %v, then let through: %v", s, name, o, away, let)
				}
			}
		}
	}
}

// turnedAway calls until a call is let through.
func (c *clock) turnedAway(b *breaker.Breaker, limit time.Duration) (d time.Duration, let bool) {
	for begin := c.t; ; c.pass(10 * time.Millisecond) {
		d = c.t.Sub(begin)
		if _, err := b.AllowAt(c.t); err == nil || d > limit {
			return d, err == nil
		}
	}
}

// Probes that are lost in the jump expire first, and reopen the breaker.
func TestClockJumpsWithLostProbes(t *testing.T) {
	cfg := breaker.Config{
		ConsecutiveFailures: 3, Probes: 2, OpenFor: time.Second, MaxOpenFor: 3 * time.Second, ProbeTTL: 2 * time.Second,
	}
	for _, d := range []time.Duration{time.Second, time.Minute, time.Hour, 365 * 24 * time.Hour} {
		for _, d := range []time.Duration{-d, d} {
			b, c := newBreaker(t, cfg), newClock()
			c.enter(t, b, breaker.HalfOpen)
			c.pass(d)
			if away, let := c.turnedAway(b, 10*time.Second); !let || away > time.Second+cfg.ProbeTTL+cfg.MaxOpenFor {
				t.Errorf("by %v: turned away for %v, then let through: %v", d, away, let)
			}
		}
	}
}
