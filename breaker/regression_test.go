package breaker_test

import (
	"testing"
	"time"

	"github.com/ballast-go/ballast/breaker"
)

// halfOpen opens the breaker with n failures and passes its open time.
func (c *clock) halfOpen(t *testing.T, b *breaker.Breaker, n int) {
	t.Helper()
	c.fail(t, b, n)
	want(t, b, breaker.Open)
	c.t = b.Gate()
}

// recovering has n probes succeed after service.
func (c *clock) recovering(t *testing.T, b *breaker.Breaker, n int, service time.Duration) {
	t.Helper()
	for range n {
		p := c.allow(t, b)
		c.pass(service)
		p.DoneAt(c.t, breaker.Success)
	}
	want(t, b, breaker.Recovering)
}

// The clock of a call that ended before it began said that it took 26 days.
func TestDoneBeforeAllowIsNotSlow(t *testing.T) {
	b, c := newBreaker(t, breaker.Config{SlowAfter: time.Second}), newClock()
	c.allow(t, b).DoneAt(c.t.Add(-time.Millisecond), breaker.Success)
	p := c.allow(t, b)
	p.FirstByteAt(c.t.Add(-time.Hour))
	p.DoneAt(c.t, breaker.Success)
	if s := b.Stats(); s.Slow != 0 || s.Successes != 2 {
		t.Errorf("%+v", s)
	}
	c.allow(t, b).DoneAt(c.t.Add(7*24*time.Hour), breaker.Success)
	if s := b.Stats(); s.Slow != 1 {
		t.Errorf("a week is not slow: %+v", s)
	}
}

// A probe that came too late counted, if no other call had noticed it before.
func TestProbeDoneAfterExpiry(t *testing.T) {
	for name, late := range map[string]func(*breaker.Permit, time.Time){
		"Done":      func(p *breaker.Permit, at time.Time) { p.DoneAt(at, breaker.Success) },
		"FirstByte": (*breaker.Permit).FirstByteAt,
	} {
		b, c := newBreaker(t, breaker.Config{ConsecutiveFailures: 1, Probes: 1, ProbeTTL: time.Second}), newClock()
		c.halfOpen(t, b, 1)
		p := c.allow(t, b)
		late(p, c.t.Add(time.Second))
		if s := b.Stats(); s.State != breaker.Open || s.ExpiredProbes != 1 || s.Opened != 2 {
			t.Errorf("%s: %+v", name, s)
		}
		p.DoneAt(c.t.Add(time.Second), breaker.Success)
		if s := b.Stats(); s.Late != 1 || s.Successes != 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// The call that found that the recovery was over was turned away.
func TestNobodyIsTurnedAwayByClosing(t *testing.T) {
	b, c := newBreaker(t, breaker.Config{ConsecutiveFailures: 1, Probes: 1}), newClock()
	c.halfOpen(t, b, 1)
	c.recovering(t, b, 1, 10*time.Millisecond)
	for range 1000 {
		p, err := b.AllowAt(c.t)
		if b.State() == breaker.Closed {
			if err != nil {
				t.Fatal("turned away by a closed breaker:", err)
			}
			return
		}
		if err == nil {
			p.DoneAt(c.t.Add(time.Millisecond), breaker.Success)
		}
		c.pass(20 * time.Millisecond)
	}
	t.Fatal("not closed")
}

// Permits that are lost filled up a recovery for ever, if some others reported.
func TestRecoveryOutlivesLostPermits(t *testing.T) {
	for lose := 2; lose <= 10; lose++ { // of so many all but one
		b, c := newBreaker(t, breaker.Config{ConsecutiveFailures: 1, Probes: 1, ProbeTTL: time.Second}), newClock()
		c.halfOpen(t, b, 1)
		c.recovering(t, b, 1, 10*time.Millisecond)
		let := 0
		for range 60_000 {
			if p, err := b.AllowAt(c.t); err == nil {
				if let++; let%lose == 0 && b.State() != breaker.HalfOpen || b.State() == breaker.HalfOpen {
					p.DoneAt(c.t.Add(time.Millisecond), breaker.Success)
				}
			}
			c.pass(time.Millisecond)
			if b.State() == breaker.Closed {
				break
			}
		}
		if s := b.Stats(); s.Opened == 1 && s.State == breaker.Recovering {
			t.Errorf("1 of %d: stuck after %d calls: %+v", lose, let, s)
		}
	}
}

// Calls that say nothing of the backend's health are no reason to open.
func TestIgnoredCallsHoldRecovery(t *testing.T) {
	b, c := newBreaker(t, breaker.Config{ConsecutiveFailures: 1, Probes: 1, ProbeTTL: time.Second}), newClock()
	c.halfOpen(t, b, 1)
	c.recovering(t, b, 1, 10*time.Millisecond)
	let := 0
	for range 5000 {
		if p, err := b.AllowAt(c.t); err == nil {
			let++
			p.DoneAt(c.t.Add(time.Millisecond), breaker.Ignore)
		}
		c.pass(time.Millisecond)
	}
	want(t, b, breaker.Recovering)
	if let < 800 {
		t.Errorf("%d calls in 5 s", let)
	}
}

// A jump of the clock while a call was made became a step that took a year.
func TestClockJumpIsNoServiceTime(t *testing.T) {
	b, c := newBreaker(t, breaker.Config{ConsecutiveFailures: 1, Probes: 1}), newClock()
	c.halfOpen(t, b, 1)
	c.recovering(t, b, 1, 10*time.Millisecond)
	for c.pass(10 * time.Millisecond); ; {
		p := c.allow(t, b)
		c.pass(365 * 24 * time.Hour)
		p.DoneAt(c.t, breaker.Success)
		break
	}
	c.untilClosed(t, b, 50*time.Millisecond, 10*time.Millisecond, 5*time.Minute)
}

// untilClosed makes a call each interval, which takes service, until the breaker
// is closed, for at most limit.
func (c *clock) untilClosed(t *testing.T, b *breaker.Breaker, interval, service, limit time.Duration) (took time.Duration) {
	t.Helper()
	begin := c.t
	for c.t.Sub(begin) < limit {
		if p, err := b.AllowAt(c.t); err == nil {
			p.DoneAt(c.t.Add(service), breaker.Success)
		}
		if b.State() == breaker.Closed {
			return c.t.Sub(begin)
		}
		c.pass(interval)
	}
	t.Fatalf("%v after %v: %+v", b.State(), limit, b.Stats())
	return 0
}

// Times from before the year 1734 were all the same: an open breaker stayed open.
func TestZeroTimeGoesOn(t *testing.T) {
	b := newBreaker(t, breaker.Config{ConsecutiveFailures: 1, Probes: 1})
	c := &clock{}
	c.fail(t, b, 1)
	c.refused(t, b)
	c.pass(5 * time.Second)
	c.allow(t, b)
	want(t, b, breaker.HalfOpen)
}

// A gate in the far future and a time in the far past have no difference in an
// int64.
func TestOpenFarAhead(t *testing.T) {
	b, c := newBreaker(t, breaker.Config{ConsecutiveFailures: 1}), newClock()
	c.t = c.t.AddDate(250, 0, 0)
	c.fail(t, b, 1)
	c.t = c.t.AddDate(-500, 0, 0)
	_, _ = b.AllowAt(c.t) // finds out that the clock went back
	c.pass(5 * time.Second)
	c.allow(t, b)
}

// With a clock that went back, nobody knew what callers want, and took it for
// calls by the nanosecond.
func TestDemandAfterClockWentBack(t *testing.T) {
	b, c := newBreaker(t, breaker.Config{ConsecutiveFailures: 1, Probes: 1}), newClock()
	b.Reset() // closed at the true time, which is later
	c.halfOpen(t, b, 1)
	c.recovering(t, b, 1, 10*time.Millisecond)
	if took := c.untilClosed(t, b, time.Second, 10*time.Millisecond, time.Hour); took > 10*time.Second {
		t.Error(took)
	}
}

// With a clock that went back while it probed, there was no ramp.
func TestRampAfterClockWentBack(t *testing.T) {
	b, c := newBreaker(t, breaker.Config{ConsecutiveFailures: 1, Probes: 1}), newClock()
	c.halfOpen(t, b, 1)
	p := c.allow(t, b)
	c.pass(-time.Second)
	p.DoneAt(c.t, breaker.Success)
	want(t, b, breaker.Recovering)
	if b.Interval() < time.Millisecond {
		t.Error("the first step lets a call through every", b.Interval())
	}
}

// An outcome that raced with the first byte was counted twice.
func TestFirstByteAfterDoneOfProbe(t *testing.T) {
	b, c := newBreaker(t, breaker.Config{ConsecutiveFailures: 1, Probes: 3}), newClock()
	c.halfOpen(t, b, 1)
	p := c.allow(t, b)
	p.DoneAt(c.t, breaker.Failure)
	p.FirstByteAt(c.t)
	p.DoneAt(c.t, breaker.Success)
	want(t, b, breaker.HalfOpen)
	c.allow(t, b).DoneAt(c.t, breaker.Success)
	want(t, b, breaker.HalfOpen)
	c.allow(t, b).DoneAt(c.t, breaker.Success)
	want(t, b, breaker.Recovering)
}

// A window that was cleared twice, because the clock went back twice, had its old
// slots back, and lost what was counted in them.
func TestClockWentBackTwice(t *testing.T) {
	b, c := newBreaker(t, breaker.Config{ConsecutiveFailures: -1}), newClock()
	report := func(back time.Duration) {
		c.pass(-back)
		c.allow(t, b).DoneAt(c.t, breaker.Success)
	}
	report(0)
	report(time.Minute + time.Second) // whose slot is none of the others' place
	report(time.Minute)
	report(-2*time.Minute - time.Second)
	if s, at := b.Stats(), b.CountsAt(c.t); s.Successes != 4 || at[0] != 1 {
		t.Errorf("%v in the window: %+v", at, s)
	}
}

// A stream is slow in the step in which its first byte comes late, not when it ends,
// minutes and steps later: slow streams went past unseen while the load was raised.
func TestSlowStreamsHoldTheRamp(t *testing.T) {
	cfg := trips3(3)
	cfg.SlowAfter = 50 * time.Millisecond
	b, c := newBreaker(t, cfg), newClock()
	c.halfOpen(t, b, 3)
	c.recovering(t, b, 3, 100*time.Millisecond)
	first := b.Interval()
	for range 100 {
		c.pass(first)
		if p, err := b.AllowAt(c.t); err == nil {
			c.pass(100 * time.Millisecond)
			p.FirstByteAt(c.t) // and it goes on
		}
	}
	if step, _ := b.Step(); step < 5 || b.Interval() != first {
		t.Errorf("step %d: a call every %v, want every %v still", step, b.Interval(), first)
	}
	want(t, b, breaker.Recovering)
}

// Who is turned away by a slow recovery is told when the next call is due, however
// long OpenFor is.
func TestRetryAfterWhileRecovering(t *testing.T) {
	cfg := trips3(3)
	cfg.ProbeTTL = time.Minute
	b, c := newBreaker(t, cfg), newClock()
	c.halfOpen(t, b, 3)
	c.recovering(t, b, 3, 30*time.Second)
	for range 3 { // as many as may come together
		c.allow(t, b)
	}
	if e, due := c.refused(t, b), b.Gate().Sub(c.t); due <= cfg.OpenFor || e.RetryAfter < due {
		t.Errorf("told to come back after %v, and the next call is due after %v", e.RetryAfter, due)
	}
}

// ForceOpen goes on telling callers OpenFor, of today's configuration.
func TestReconfiguredOpenForIsTold(t *testing.T) {
	b, c := newBreaker(t, breaker.Config{OpenFor: time.Minute}), newClock()
	b.ForceOpen()
	if e := c.refused(t, b); e.RetryAfter != time.Minute {
		t.Error(e)
	}
	if err := b.Reconfigure(breaker.Config{OpenFor: time.Second}); err != nil {
		t.Fatal(err)
	}
	if e := c.refused(t, b); e.RetryAfter != time.Second {
		t.Error(e)
	}
}
