package breaker_test

import (
	pq "container/heap"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ballast-go/ballast/breaker"
)

// A service that works in batches takes eight times as long under its full load as
// alone, without a queue. A recovery that took that for one turned 40 % away for
// ever.
func TestServiceThatIsSlowerUnderLoadRecovers(t *testing.T) {
	const rate, heals = 350, 3 * time.Second
	b := newBreaker(t, breaker.Config{OpenFor: time.Second, MaxOpenFor: time.Second})
	rng := rand.New(rand.NewPCG(1, 2))
	var out endings
	for at := time.Duration(0); at < 5*time.Minute; at += time.Duration(rng.ExpFloat64() / rate * 1e9) {
		for len(out) > 0 && out[0].at <= at {
			e := pq.Pop(&out).(ending)
			e.p.DoneAt(b.Epoch().Add(e.at), e.o)
		}
		p, err := b.AllowAt(b.Epoch().Add(at))
		switch {
		case err != nil:
		case at > time.Second && at < heals:
			p.DoneAt(b.Epoch().Add(at), breaker.Failure)
		default:
			took := 100*time.Millisecond + time.Duration(len(out))*2500*time.Microsecond
			pq.Push(&out, ending{at + took, p, breaker.Success})
		}
		if at > heals+time.Second && b.State() == breaker.Closed {
			return
		}
	}
	t.Errorf("%+v", b.Stats())
}

// Ten failures of twenty are no overload to a breaker that bears nearly half: a
// service that always fails two times in five fails so often each fourth time.
func TestRecoveryAllowsForChance(t *testing.T) {
	for _, tc := range []struct {
		pattern string
		back    bool
	}{
		{"FS", false},
		{"FFSF", true},
	} {
		b, c := newBreaker(t, breaker.Config{}), newClock()
		c.halfOpen(t, b, 20)
		c.recovering(t, b, 3, 10*time.Millisecond)
		for step, _ := b.Step(); step < 8; step, _ = b.Step() { // so that there is a way back
			if p, err := b.AllowAt(c.t); err == nil {
				p.DoneAt(c.t.Add(time.Millisecond), breaker.Success)
			}
			c.pass(time.Millisecond)
		}
		before, went := b.Interval(), false
		for n := 0; n < 60 && !went; {
			if p, err := b.AllowAt(c.t); err == nil {
				o := breaker.Success
				if tc.pattern[n%len(tc.pattern)] == 'F' {
					o = breaker.Failure
				}
				n++
				p.DoneAt(c.t, o)
			}
			c.pass(time.Millisecond)
			went = b.Interval() > before
		}
		if went != tc.back {
			t.Errorf("%s: went back: %v; %+v", tc.pattern, went, b.Stats())
		}
	}
}

// A first byte that is told late, as of an answer whose client is slow in taking
// it, is no clock that was set back: the recovery opened, as if nothing had been
// heard since.
func TestFirstByteToldLate(t *testing.T) {
	b, c := newBreaker(t, breaker.Config{ConsecutiveFailures: 1, ProbeTTL: 2 * time.Second}), newClock()
	c.halfOpen(t, b, 1)
	c.recovering(t, b, 2, 10*time.Millisecond)
	began := c.t
	early := c.allow(t, b)
	var others []*breaker.Permit
	for ; len(others) < 5; c.pass(time.Millisecond) {
		if p, err := b.AllowAt(c.t); err == nil {
			others = append(others, p)
		}
	}
	c.pass(1900*time.Millisecond - c.t.Sub(began))
	others[0].DoneAt(c.t, breaker.Success)
	early.FirstByteAt(began.Add(20 * time.Millisecond))
	c.pass(200 * time.Millisecond)
	_, _ = b.AllowAt(c.t)
	want(t, b, breaker.Recovering)
}
