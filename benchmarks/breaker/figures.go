package breakbench

import (
	"math"
	"sort"
	"time"
)

// never is a time that did not come within the simulation.
const never = time.Duration(math.MaxInt64)

// between are the calls that came from a time on and before another.
func (tr trace) between(from, to time.Duration) []call {
	at := func(t time.Duration) int {
		return sort.Search(len(tr.calls), func(i int) bool { return tr.calls[i].at >= t })
	}
	return tr.calls[at(from):max(at(from), at(to))]
}

func count(calls []call, is func(call) bool) (n int) {
	for _, c := range calls {
		if is(c) {
			n++
		}
	}
	return n
}

func isReached(c call) bool  { return c.reached }
func isRejected(c call) bool { return !c.reached }
func isOK(c call) bool       { return c.ok }
func isFailed(c call) bool   { return c.reached && !c.ok }

// share is how many of the calls are so; not a number of none.
func share(calls []call, is func(call) bool) float64 {
	return float64(count(calls, is)) / float64(len(calls))
}

// trip is when the first call was turned away from a time on.
func (tr trace) trip(from time.Duration) time.Duration {
	for _, c := range tr.between(from, never) {
		if !c.reached {
			return c.at
		}
	}
	return never
}

// openings counts them from a time on.
func (tr trace) openings(from time.Duration) (n int) {
	for _, o := range tr.opened {
		if o.at >= from {
			n++
		}
	}
	return n
}

// firstGood is when the first call that began after the backend had healed was
// answered well.
func (tr trace) firstGood(healed time.Duration) time.Duration {
	first := never
	for _, c := range tr.between(healed, never) {
		if first < c.at {
			break
		}
		if c.ok {
			first = min(first, c.at+c.took)
		}
	}
	return first
}

// bin is how finely load is looked at.
const bin = 100 * time.Millisecond

// recovered is the beginning of the first half second, by bins, of whose calls at
// least 95 % succeeded.
func (tr trace) recovered(healed, end time.Duration) time.Duration {
	for t := healed; t+5*bin <= end; t += bin {
		if calls := tr.between(t, t+5*bin); len(calls) > 0 && share(calls, isOK) >= 0.95 {
			return t
		}
	}
	return never
}

// lost is how many calls failed or were turned away since the backend healed, as
// the time in which so many are offered.
func (tr trace) lost(healed, end time.Duration) time.Duration {
	calls := tr.between(healed, end)
	return time.Duration((1 - share(calls, isOK)) * float64(end-healed))
}

const (
	// fewest calls that a step is measured by: of less, chance makes any ratio.
	fewest = 20
	// burst is how many calls may come together, and so be counted in the span
	// before theirs or after it.
	burst = probesAndCalls
)

// step is the largest ratio of the loads that were let through in two
// spans of time that follow on each other, each as long as 95 % of the
// service times of a backend with nothing in its queue are at most. Arrivals vary of
// themselves: so what counts is the ratio of the loads or of their shares of what
// was offered, whichever is smaller.
func (tr trace) step(from, end time.Duration, p95 func(time.Duration) time.Duration) float64 {
	largest := 0.0
	for t := from; t < end; {
		span := p95(t)
		before, after := tr.between(t-span, t), tr.between(t, t+span)
		if n := count(after, isReached); n >= fewest {
			load := float64(n-burst) / float64(count(before, isReached)+burst)
			largest = max(largest, min(load, load*float64(len(before))/float64(len(after))))
		}
		t += span / 4
	}
	return largest
}

// calmP95 is a calm backend's p95 of service times.
func calmP95(time.Duration) time.Duration { return p95Of(service) }

// coldP95 is that of one whose cache warms.
func coldP95(t time.Duration) time.Duration {
	return p95Of(time.Duration(float64(service) / warmth(t-healedAt)))
}

func p95Of(mean time.Duration) time.Duration {
	return time.Duration(float64(mean) * (1 + spread*0.9))
}
