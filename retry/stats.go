package retry

import "sync/atomic"

// Stats says what became of the calls whose first attempt failed. Those that
// succeed at once are counted nowhere: a shared counter would cost them more
// than all the rest does. Count them where the latency is measured.
type Stats struct {
	Retries    uint64 // attempts after the first
	Recovered  uint64 // calls that succeeded after a failed attempt
	Exhausted  uint64 // calls given up after MaxAttempts, or at the schedule's end
	OverBudget uint64 // calls given up for want of budget
	OutOfTime  uint64 // calls given up because their context had ended, or would have before the next attempt
	Permanent  uint64 // calls given up because the error is not retryable, the first attempt's or a later one's
	Nested     uint64 // calls not repeated because they serve a retry
}

type counters struct {
	retries, recovered, exhausted, overBudget, outOfTime, permanent, nested atomic.Uint64
}

// Stats returns what has been counted since New. The numbers are read one after
// the other, while calls go on.
func (r *Retrier) Stats() Stats {
	n := r.counters
	return Stats{
		Retries:    n.retries.Load(),
		Recovered:  n.recovered.Load(),
		Exhausted:  n.exhausted.Load(),
		OverBudget: n.overBudget.Load(),
		OutOfTime:  n.outOfTime.Load(),
		Permanent:  n.permanent.Load(),
		Nested:     n.nested.Load(),
	}
}
