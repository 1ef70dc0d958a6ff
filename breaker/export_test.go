package breaker

import "time"

// Epoch is what b's times are counted from.
func (b *Breaker) Epoch() time.Time { return b.epoch }

// Gate is when the next call may be let through.
func (b *Breaker) Gate() time.Time { return b.epoch.Add(time.Duration(b.gate.Load())) }

// CountsAt are what the window holds at t: successes, failures, ignored, slow.
func (b *Breaker) CountsAt(t time.Time) [4]uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.window.sum(b.window.number(b.at(t)))
}

// StreakNow is how many failures there were in a row.
func (b *Breaker) StreakNow() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.window.streak.Load()
}

// Interval is what lies between two calls of a recovery.
func (b *Breaker) Interval() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Duration(b.machine.ramp.interval)
}

// P95 is the length of the recovery's step, and Step its number.
func (b *Breaker) Step() (number int, p95 time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.machine.ramp.step, time.Duration(b.machine.ramp.length)
}

// SlabSize is how many permits are allocated together.
const SlabSize = slabSize
