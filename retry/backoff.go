package retry

import (
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Backoff is the schedule of one call's retries. NextBackOff is asked before
// each: how long to wait, or below 0 that there shall be none. Reset is called
// once, before that. Those of cenkalti/backoff/v4 are such schedules.
type Backoff interface {
	NextBackOff() time.Duration
	Reset()
}

// longestDelay keeps the arithmetic of schedules clear of overflows: 73 years.
const longestDelay = time.Duration(1) << 61

// bounds are what a schedule's arguments mean.
func bounds(base, most time.Duration) (time.Duration, time.Duration) {
	if base <= 0 {
		base = defaultBase
	}
	if most <= 0 {
		most = defaultMost
	}
	most = min(most, longestDelay)
	return min(base, most), most
}

// FullJitter makes schedules, for [Config], in which the wait before the n-th
// retry is chosen at random, uniformly between 0 and base·2ⁿ⁻¹, or most if that
// is less. Clients that failed together thus come back spread out over the whole
// of the time, which gets the work done with the fewest calls ("Exponential
// Backoff And Jitter", AWS Architecture Blog, 2015). 0 or less means 100 ms for
// base, and 10 s for most; a base above most counts as most.
func FullJitter(base, most time.Duration) func() Backoff {
	base, most = bounds(base, most)
	return func() Backoff { return &fullJitter{base: base, most: most} }
}

// fullJitter is an ExponentialBackOff whose intervals are half of what they
// could be, and are randomized by ±100 %.
type fullJitter struct {
	base, most time.Duration
	bound      time.Duration // what the next draw must not exceed
	exp        backoff.ExponentialBackOff
}

func (j *fullJitter) Reset() {
	j.bound = j.base
	j.exp = backoff.ExponentialBackOff{
		InitialInterval:     j.base/2 + j.base%2,
		RandomizationFactor: 1,
		Multiplier:          2,
		MaxInterval:         j.most/2 + j.most%2,
		Stop:                backoff.Stop,
		Clock:               backoff.SystemClock,
	}
	j.exp.Reset()
}

// NextBackOff keeps to the bounds, which v4 oversteps by a nanosecond.
func (j *fullJitter) NextBackOff() time.Duration {
	d := max(0, min(j.exp.NextBackOff(), j.bound))
	j.bound = min(2*j.bound, j.most)
	return d
}

// DecorrelatedJitter makes schedules, for [Config], in which each wait is chosen
// at random between base and three times the wait before it, and is most if that
// is less. It is never shorter than base, where FullJitter's may be next to
// nothing (same source, "Decorrelated Jitter"). Its arguments are as FullJitter's.
func DecorrelatedJitter(base, most time.Duration) func() Backoff {
	base, most = bounds(base, most)
	return func() Backoff { return &decorrelatedJitter{base: base, most: most, last: base} }
}

type decorrelatedJitter struct{ base, most, last time.Duration }

func (j *decorrelatedJitter) Reset() { j.last = j.base }

func (j *decorrelatedJitter) NextBackOff() time.Duration {
	d := j.base
	if spread := min(j.last, longestDelay)*3 - j.base; spread > 0 {
		d += rand.N(spread + 1)
	}
	j.last = min(d, j.most)
	return j.last
}
