package ratelimit

import (
	"math/bits"
	"time"

	"golang.org/x/time/rate"
)

// The generic cell rate algorithm (ITU-T I.371, annex A) keeps one number a key,
// the theoretical arrival time, TAT: up to when its rate is used. Here TATs are
// in nanoseconds since the limiter was made.

// Times are kept within these bounds, so that no difference overflows: a TAT is
// at most 100 years after now, which is at most 145 years after the start.
const (
	year    = int64(maxHorizon) / 100
	minTime = -45 * year
	maxTime = 145 * year
	maxTAT  = maxTime + 100*year
)

// A quota is a Limit as the algorithm needs it.
type quota struct {
	limit    Limit
	interval int64 // that one event takes up; above 0
	room     int64 // Burst intervals: how far TAT may be ahead of now
}

// quota of a Limit that is invalid is that of one with no burst at all.
func (l Limit) quota() quota {
	if !l.valid() {
		return quota{interval: 1}
	}
	i := l.interval()
	return quota{limit: l, interval: i, room: i * int64(l.Burst)}
}

// take decides whether n events fit at now. If they do, wait is 0, and used is
// how far the TAT is ahead of now after them; if not, wait is for how long, or
// rate.InfDuration, and used is without them. A negative n never fits.
func (q *quota) take(tat, now int64, n int) (used int64, wait time.Duration) {
	used = max(tat-now, 0)
	if uint(n) > uint(q.limit.Burst) {
		return used, rate.InfDuration
	}
	cost := int64(n) * q.interval
	if over := used + cost - q.room; over > 0 && n > 0 {
		return used, time.Duration(over)
	}
	return used + cost, 0
}

// decision puts into d, which is zero, what take said. Field by field, because a
// literal is built elsewhere and copied 16 bytes at a time, which stalls on the
// narrower stores before: 8 ns of 22.
func (q *quota) decision(d *Decision, used int64, wait time.Duration) {
	d.OK = wait == 0
	d.Limit.Rate = q.limit.Rate
	d.Limit.Burst = q.limit.Burst
	d.Remaining = int(max(q.room-used, 0) / q.interval)
	d.RetryAfter = wait
	d.ResetAfter = time.Duration(used)
}

// charge returns the TAT after n events that nobody was asked about.
func (q *quota) charge(tat, now int64, n uint64) int64 {
	tat = max(tat, now)
	hi, cost := bits.Mul64(n, uint64(q.interval))
	if hi != 0 || cost > uint64(maxTAT-tat) {
		return maxTAT
	}
	return tat + int64(cost)
}

// refund returns the TAT after n events were given back. It goes back to now at
// most: an earlier one says the same.
func (q *quota) refund(tat, now int64, n uint64) int64 {
	hi, cost := bits.Mul64(n, uint64(q.interval))
	if hi != 0 || tat <= now || cost > uint64(tat-now) {
		return min(tat, now)
	}
	return tat - int64(cost)
}
