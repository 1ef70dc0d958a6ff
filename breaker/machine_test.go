package breaker_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ballast-go/ballast/breaker"
)

// A clock is a time that stands still until it is moved.
type clock struct{ t time.Time }

func newClock() *clock                { return &clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)} }
func (c *clock) pass(d time.Duration) { c.t = c.t.Add(d) }

// allow gets a permit, which must be had.
func (c *clock) allow(t *testing.T, b *breaker.Breaker) *breaker.Permit {
	t.Helper()
	p, err := b.AllowAt(c.t)
	if err != nil {
		t.Fatalf("%v: %v", b.State(), err)
	}
	return p
}

// refused must get none.
func (c *clock) refused(t *testing.T, b *breaker.Breaker) *breaker.OpenError {
	t.Helper()
	p, err := b.AllowAt(c.t)
	var open *breaker.OpenError
	if p != nil || !errors.As(err, &open) || !errors.Is(err, breaker.ErrOpen) || open.RetryAfter <= 0 {
		t.Fatalf("%v: got %v, %v", b.State(), p, err)
	}
	return open
}

func want(t *testing.T, b *breaker.Breaker, s breaker.State) {
	t.Helper()
	if got := b.State(); got != s {
		t.Fatalf("state %v, want %v", got, s)
	}
}

// fail reports n failures in a row.
func (c *clock) fail(t *testing.T, b *breaker.Breaker, n int) {
	t.Helper()
	for range n {
		c.allow(t, b).DoneAt(c.t, breaker.Failure)
	}
}

func TestConsecutiveFailuresOpen(t *testing.T) {
	b, c := newBreaker(t, breaker.Config{ConsecutiveFailures: 3, Name: "model"}), newClock()
	c.fail(t, b, 2)
	c.allow(t, b).DoneAt(c.t, breaker.Success)
	c.fail(t, b, 2)
	c.allow(t, b).DoneAt(c.t, breaker.Ignore)
	want(t, b, breaker.Closed)
	c.fail(t, b, 1)
	want(t, b, breaker.Open)
	e := c.refused(t, b)
	if e.Name != "model" || e.RetryAfter < 500*time.Millisecond || e.RetryAfter > time.Second || e.Retryable() || e.RetryDelay() != e.RetryAfter {
		t.Error(e)
	}
}

func TestFullCircle(t *testing.T) {
	var seen []breaker.State
	b, c := newBreaker(t, breaker.Config{ConsecutiveFailures: 3, OnStateChange: func(_, to breaker.State) { seen = append(seen, to) }}), newClock()
	stale := c.allow(t, b)
	c.fail(t, b, 3)
	c.pass(time.Second)
	var probes []*breaker.Permit
	for range 3 {
		probes = append(probes, c.allow(t, b))
	}
	want(t, b, breaker.HalfOpen)
	c.refused(t, b)
	stale.DoneAt(c.t, breaker.Success) // from before: says nothing
	want(t, b, breaker.HalfOpen)
	c.pass(10 * time.Millisecond)
	for _, p := range probes {
		p.DoneAt(c.t, breaker.Success)
	}
	want(t, b, breaker.Recovering)
	let := 0
	for range 1000 {
		c.pass(time.Millisecond)
		if p, err := b.AllowAt(c.t); err == nil {
			let++
			p.DoneAt(c.t.Add(10*time.Millisecond), breaker.Success)
		}
		if b.State() == breaker.Closed {
			break
		}
	}
	want(t, b, breaker.Closed)
	t.Log(let, seen, b.Stats())
}

func TestHundredAtTheInstantOfHalfOpen(t *testing.T) {
	b, c := newBreaker(t, breaker.Config{ConsecutiveFailures: 3, Probes: 5}), newClock()
	c.fail(t, b, 3)
	c.pass(time.Second)
	var let atomic.Int64
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if _, err := b.AllowAt(c.t); err == nil {
				let.Add(1)
			}
		})
	}
	wg.Wait()
	if let.Load() != 5 {
		t.Errorf("%d were let through", let.Load())
	}
}
