package breaker

import "time"

// Stats are a Breaker's numbers.
type Stats struct {
	State State

	// Since the Breaker was made. Each outcome that was reported is one of the
	// first four.
	Successes uint64
	Failures  uint64
	Ignored   uint64
	// Late outcomes count for nothing: their calls began before the breaker last
	// opened, or were probes that had expired.
	Late          uint64
	Slow          uint64 // successes and failures that took SlowAfter or longer
	Rejected      uint64 // calls that were not let through
	Opened        uint64 // times the breaker opened, ForceOpen aside
	ExpiredProbes uint64 // probes that did not report in time

	// In the window, as of now.
	WindowCalls       uint64 // successes and failures
	WindowFailureRate float64
	WindowSlowRate    float64

	// RetryAfter is how long no call is let through at all. 0 where it is not
	// known, or some are.
	RetryAfter time.Duration

	// Share is how much of what callers want is let through, about, from 0, open
	// or half open, to 1, closed.
	Share float64
}

// State returns the state. An Open one stays so until the first call after its
// open time.
func (b *Breaker) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.machine.state
}

// Stats returns the numbers as of now.
func (b *Breaker) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	w := b.window
	sum, total := w.sum(w.number(now)), w.total()
	total.add(b.folded)
	s := Stats{
		State:     b.machine.state,
		Successes: total[succeeded], Failures: total[failed], Ignored: total[ignored],
		Late: b.late.Load(), Slow: total[slow],
		Rejected: b.rejected.Load(), Opened: b.opened, ExpiredProbes: b.expired,
		WindowCalls: sum.calls(), WindowFailureRate: sum.rate(failed), WindowSlowRate: sum.rate(slow),
	}
	switch s.State {
	case Closed, ForcedClosed:
		s.Share = 1
	case Open:
		s.RetryAfter = max(0, time.Duration(b.gate.Load()-now))
	case Recovering:
		s.Share = min(1, 1/(b.machine.ramp.interval*max(b.machine.demand, 1e-18)))
	}
	return s
}
