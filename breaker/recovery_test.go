package breaker_test

import (
	pq "container/heap"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ballast-go/ballast/breaker"
)

// A backend serves in 10 ms what it has the capacity for. What goes beyond that
// times out after 250 ms.
type backend struct {
	dead     func(at time.Duration) bool
	fails    float64                        // share of calls
	capacity func(at time.Duration) float64 // calls/s; nil: no bound
	takes    func() time.Duration           // a call; nil: always as long
	free     time.Duration                  // when what it has taken on is done
}

func (s *backend) serve(at time.Duration, rng *rand.Rand) (took time.Duration, o breaker.Outcome) {
	const service, timeout = 10 * time.Millisecond, 250 * time.Millisecond
	if s.dead(at) || rng.Float64() < s.fails {
		return time.Millisecond, breaker.Failure
	}
	if s.takes != nil {
		return s.takes(), breaker.Success
	}
	if s.capacity == nil {
		return service, breaker.Success
	}
	s.free = max(s.free, at) + time.Duration(1e9/s.capacity(at))
	if wait := s.free - at; wait > timeout {
		s.free -= time.Duration(1e9 / s.capacity(at)) // it gives up
		return timeout, breaker.Failure
	} else {
		return max(service, wait), breaker.Success
	}
}

type ending struct {
	at time.Duration
	p  *breaker.Permit
	o  breaker.Outcome
}

type endings []ending

func (e endings) Len() int           { return len(e) }
func (e endings) Less(i, j int) bool { return e[i].at < e[j].at }
func (e endings) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *endings) Push(x any)        { *e = append(*e, x.(ending)) }
func (e *endings) Pop() any          { old := *e; x := old[len(old)-1]; *e = old[:len(old)-1]; return x }

// simulate makes Poisson arrivals at rate per second for so long, in virtual time,
// and returns when the breaker last closed.
func simulate(b *breaker.Breaker, s *backend, rate float64, long time.Duration, each func(at time.Duration, let bool)) (closed time.Duration) {
	rng := rand.New(rand.NewPCG(1, 2))
	var out endings
	closed = -1
	was := breaker.Closed
	for at := time.Duration(0); at < long; at += time.Duration(rng.ExpFloat64() / rate * 1e9) {
		for len(out) > 0 && out[0].at <= at {
			e := pq.Pop(&out).(ending)
			e.p.DoneAt(b.Epoch().Add(e.at), e.o)
		}
		p, err := b.AllowAt(b.Epoch().Add(at))
		if err == nil {
			took, o := s.serve(at, rng)
			pq.Push(&out, ending{at + took, p, o})
		}
		if now := b.State(); now != was {
			if now == breaker.Closed {
				closed = at
			}
			was = now
		}
		if each != nil {
			each(at, err == nil)
		}
	}
	return closed
}

func deadUntil(end time.Duration) func(time.Duration) bool {
	return func(at time.Duration) bool { return at > time.Second && at < end }
}

func TestRecovery(t *testing.T) {
	const dead = 11 * time.Second
	for name, tc := range map[string]struct {
		s          backend
		rate       float64
		long, most time.Duration // how long after the end of the outage it is closed
	}{
		"3.5k/s":              {s: backend{}, rate: 3500, long: time.Minute, most: 25 * time.Second},
		"a third still fails": {s: backend{fails: 0.3}, rate: 500, long: 3 * time.Minute, most: time.Minute},
		"1/s":                 {s: backend{}, rate: 1, long: time.Hour, most: 5 * time.Minute},
		"1/min":               {s: backend{}, rate: 1. / 60, long: 24 * time.Hour, most: 2 * time.Hour},
	} {
		tc.s.dead = deadUntil(dead)
		cfg := breaker.Config{ConsecutiveFailures: 5}
		if tc.s.fails > 0 {
			cfg.ConsecutiveFailures = 0
		}
		b := newBreaker(t, cfg)
		closed := simulate(b, &tc.s, tc.rate, tc.long, nil)
		if b.State() != breaker.Closed || closed-dead > tc.most {
			t.Errorf("%s: closed after %v: %+v", name, closed-dead, b.Stats())
		}
		t.Log(name, closed-dead, b.Stats().Opened)
	}
}

// From the first good probe on it takes a second at most.
func TestRecoveryIsQuick(t *testing.T) {
	b := newBreaker(t, breaker.Config{})
	var first time.Duration
	s := &backend{dead: deadUntil(11 * time.Second)}
	closed := simulate(b, s, 3500, time.Minute, func(at time.Duration, _ bool) {
		if first == 0 && b.State() == breaker.Recovering {
			first = at
		}
	})
	if took := closed - first; first == 0 || took <= 0 || took > time.Second {
		t.Error(took)
	}
}

// A backend with cold caches is led back without a second outage. The breaker may
// reopen while it is dead, not after.
func TestColdBackend(t *testing.T) {
	const dead = 3 * time.Second
	s := &backend{dead: deadUntil(dead), capacity: func(at time.Duration) float64 {
		if at > time.Second && at < dead+5*time.Second {
			return 350
		}
		return 7000
	}}
	b := newBreaker(t, breaker.Config{OpenFor: 500 * time.Millisecond, MaxOpenFor: time.Second})
	var opened uint64
	was := breaker.Closed
	closed := simulate(b, s, 3500, 30*time.Second, func(at time.Duration, _ bool) {
		now := b.State()
		if at > dead && now == breaker.Open && (was == breaker.Closed || was == breaker.Recovering) {
			opened++
		}
		was = now
	})
	t.Log("closed at", closed, "opened again", opened)
	if opened > 0 || b.State() != breaker.Closed {
		t.Errorf("opened %d times after the outage: %+v", opened, b.Stats())
	}
}

// The load doubles at most from one step to the next, and each step lasts a p95.
func TestRampDoubles(t *testing.T) {
	b := newBreaker(t, breaker.Config{})
	var began time.Duration
	number, interval, p95 := 0, time.Duration(0), time.Duration(0)
	steps := 0
	simulate(b, &backend{dead: deadUntil(4 * time.Second)}, 3500, 30*time.Second, func(at time.Duration, _ bool) {
		if b.State() != breaker.Recovering {
			number = 0
			return
		}
		n, length := b.Step()
		if n == number {
			return
		}
		if number > 0 {
			steps++
			if at-began < p95-time.Millisecond { // seen at arrivals only
				t.Errorf("step %d took %v of %v", number, at-began, p95)
			}
			if now := b.Interval(); now < interval/2-1 {
				t.Errorf("step %d: from %v to %v between calls", n, interval, now)
			}
		}
		number, interval, p95, began = n, b.Interval(), length, at
	})
	if steps < 2 {
		t.Errorf("%d steps", steps)
	}
}

// A service that dies again while it recovers, slowly called, was let through a call
// at a time for ever: each was a step of its own, in which too few failed.
func TestRecoveryOfWhatDiesAgain(t *testing.T) {
	for _, every := range []time.Duration{time.Millisecond, 5 * time.Millisecond, time.Second} {
		b, c := newBreaker(t, breaker.Config{ConsecutiveFailures: 3}), newClock()
		c.fail(t, b, 3)
		c.pass(time.Second)
		probes := []*breaker.Permit{c.allow(t, b), c.allow(t, b), c.allow(t, b)}
		c.refused(t, b)
		c.pass(100 * time.Millisecond)
		for _, p := range probes {
			p.DoneAt(c.t, breaker.Success)
		}
		want(t, b, breaker.Recovering)
		let := 0
		for b.State() == breaker.Recovering {
			c.pass(every)
			if p, err := b.AllowAt(c.t); err == nil {
				let++
				p.DoneAt(c.t, breaker.Failure)
			}
			if let > 10 {
				t.Fatalf("a call every %v: %d were let through: %+v", every, let, b.Stats())
			}
		}
		want(t, b, breaker.Open)
	}
}

// Service times like a language model's, of which one in twenty takes five times as
// long as half of them: chance among them must not pass for a queue.
func TestLongTailsRecover(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	b := newBreaker(t, breaker.Config{})
	s := &backend{dead: deadUntil(11 * time.Second)}
	s.takes = func() time.Duration {
		return time.Duration(float64(100*time.Millisecond) * math.Exp(rng.NormFloat64()))
	}
	var first time.Duration
	closed := simulate(b, s, 350, 2*time.Minute, func(at time.Duration, _ bool) {
		if first == 0 && b.State() == breaker.Recovering {
			first = at
		}
	})
	if p95 := 520 * time.Millisecond; first == 0 || closed-first > 40*p95 {
		t.Errorf("recovering at %v, closed at %v", first, closed)
	}
}
