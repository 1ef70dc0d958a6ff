package breaker_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ballast-go/ballast/breaker"
)

// Callers who pause while it recovers, and come back all at once, do not find more
// let through than the step before the pause allowed, twice.
func TestPauseIsNoJump(t *testing.T) {
	for _, pause := range []time.Duration{time.Second, time.Minute, time.Hour} {
		b, c := newBreaker(t, breaker.Config{ConsecutiveFailures: 3, Probes: 3}), newClock()
		c.halfOpen(t, b, 3)
		for range 1000 { // what callers want is a lot
			_, _ = b.AllowAt(c.t.Add(-time.Millisecond))
		}
		c.recovering(t, b, 3, 10*time.Millisecond)
		for step, _ := b.Step(); step < 3; step, _ = b.Step() {
			if p, err := b.AllowAt(c.t); err == nil {
				p.DoneAt(c.t.Add(10*time.Millisecond), breaker.Success)
			}
			c.pass(time.Millisecond)
			want(t, b, breaker.Recovering)
		}
		interval := b.Interval()
		c.pass(pause)
		let, span := 0, 10*time.Millisecond // one service time, in which no answer comes
		for at := time.Duration(0); at < span; at += 10 * time.Microsecond {
			if _, err := b.AllowAt(c.t.Add(at)); err == nil {
				let++
			}
		}
		// Twice what the time has room for, and as many as there were probes.
		if most := 2*int(span/interval) + 3 + 1; let > most || b.State() == breaker.Closed {
			t.Errorf("after %v: %d let through at one per %v, want %d at most; %v", pause, let, interval, most, b.State())
		}
	}
}

// Streams that last for minutes recover by their first bytes.
func TestStreamsRecoverByFirstBytes(t *testing.T) {
	b := newBreaker(t, breaker.Config{})
	const rate, firstByte, stream, dead = 20., 300 * time.Millisecond, 3 * time.Minute, 6 * time.Second
	rng := rand.New(rand.NewPCG(1, 2))
	type event struct {
		ending
		begins bool
	}
	var soon, late []event // each in the order of time
	closed := time.Duration(-1)
	for at := time.Duration(0); at < time.Minute && closed < 0; at += time.Duration(rng.ExpFloat64() / rate * 1e9) {
		for ; len(soon) > 0 && soon[0].at <= at; soon = soon[1:] {
			if e := soon[0]; e.begins {
				e.p.FirstByteAt(b.Epoch().Add(e.at))
			} else {
				e.p.DoneAt(b.Epoch().Add(e.at), e.o)
			}
		}
		p, err := b.AllowAt(b.Epoch().Add(at))
		switch {
		case err != nil:
		case at > time.Second && at < dead:
			soon = append(soon, event{ending{at + firstByte, p, breaker.Failure}, false})
		default:
			soon = append(soon, event{ending{at + firstByte, p, breaker.Success}, true})
			late = append(late, event{ending{at + stream, p, breaker.Success}, false})
		}
		if at > dead && b.State() == breaker.Closed && b.Stats().Opened > 0 {
			closed = at
		}
	}
	if closed < 0 || closed-dead > 15*time.Second {
		t.Errorf("closed after %v: %+v", closed-dead, b.Stats())
	}
	for _, e := range late { // each is counted, or late if it is from before
		e.p.DoneAt(b.Epoch().Add(e.at), e.o)
	}
	if s := b.Stats(); s.Opened > 4 || s.State != breaker.Closed {
		t.Errorf("%+v", s)
	}
}

// A backend that dies for good at any step of the recovery gets what is under way
// at that time, and then so many calls in a row that ConsecutiveFailures divides
// the load by 4 until an eighth of the first step's is left: at step n, that is
// (n+3)/2+1 divisions at most, each after max(5, ConsecutiveFailures) failures.
func TestDeadWhileRecoveringReopens(t *testing.T) {
	const streak = 5
	for steps := 1; steps <= 12; steps++ {
		b, c := newBreaker(t, breaker.Config{ConsecutiveFailures: streak, Probes: 3}), newClock()
		for range 500 {
			c.allow(t, b).DoneAt(c.t, breaker.Success)
			c.pass(time.Millisecond)
		}
		c.halfOpen(t, b, streak)
		for range 3 {
			p := c.allow(t, b)
			c.pass(10 * time.Millisecond)
			p.DoneAt(c.t, breaker.Success)
		}
		for n, _ := b.Step(); n < steps && b.State() == breaker.Recovering; n, _ = b.Step() {
			if p, err := b.AllowAt(c.t); err == nil {
				p.DoneAt(c.t.Add(time.Millisecond), breaker.Success)
			}
			c.pass(time.Millisecond)
		}
		if b.State() == breaker.Closed {
			break
		}
		failures := 0
		for b.State() == breaker.Recovering && failures < 1000 {
			if p, err := b.AllowAt(c.t); err == nil {
				failures++
				p.DoneAt(c.t, breaker.Failure)
			}
			c.pass(time.Millisecond)
		}
		if most := ((steps+3)/2 + 1) * streak; failures > most || b.State() != breaker.Open {
			t.Errorf("at step %d: %v after %d failures, want %d at most", steps, b.State(), failures, most)
		}
	}
}

// With a call a minute, what is dead for half an hour is found to be, and what is
// back is closed again.
func TestCallAMinute(t *testing.T) {
	const dead = 31 * time.Minute
	b := newBreaker(t, breaker.Config{ConsecutiveFailures: 5})
	closed := simulate(b, &backend{dead: deadUntil(dead)}, 1./60, 24*time.Hour, nil)
	if s := b.Stats(); s.Opened == 0 || s.State != breaker.Closed || closed-dead > time.Hour {
		t.Errorf("closed after %v: %+v", closed-dead, s)
	}
}

// In spans of one service time, nearly, what is let through is never more than
// twice what the most of those before was, but for the burst of as many calls as
// there were probes. From half of what callers want on it is their chance that says
// how many there are, not the ramp.
func TestAdmittedLoadDoubles(t *testing.T) {
	const p95 = 10 * time.Millisecond
	for _, rate := range []float64{100, 3500, 10_000, 20_000} {
		b := newBreaker(t, breaker.Config{})
		bin, let, most, bins := time.Duration(-1), 0, 0, 0
		simulate(b, &backend{dead: deadUntil(4 * time.Second)}, rate, 20*time.Second, func(at time.Duration, ok bool) {
			if b.State() != breaker.Recovering {
				bin, let, most = -1, 0, 0
				return
			}
			if now := at / p95; now != bin {
				if bin >= 0 {
					bins++
					most = max(most, let)
				}
				bin, let = now, 0
			}
			if ok {
				let++
			}
			if isRamps := float64(2*most) < rate*p95.Seconds(); isRamps && let > 2*max(most, 3)+3 {
				t.Errorf("%v/s: %d in a span at %v, %d before", rate, let, at, most)
			}
		})
		if bins < 2 {
			t.Errorf("%v/s: %d spans", rate, bins)
		}
	}
}
