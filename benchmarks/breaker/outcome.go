package breakbench

import (
	"slices"
	"testing"
	"time"

	"github.com/zeromicro/go-zero/core/logx"
)

// An outcome is what came of a scenario with one contender. Times are since the
// outage began, or the backend healed.
type outcome struct {
	trip       time.Duration // until the first call is turned away
	afterTrip  int           // calls that reached the dead backend after that
	afterShare float64       // of those offered meanwhile
	openings   int           // while something was wrong
	good       time.Duration // from the heal until the first good answer
	recovered  time.Duration // from the heal until 95 % succeed
	sinceGood  time.Duration // from good until then, or from when the backend bears 95 %
	lost       time.Duration
	again      int     // openings after the first good answer
	step       float64 // see trace.step
	rejected   int
	failed     int
	healthy    int // of rejected, calls that were meant for a replica with nothing wrong
	wrong      int // openings of breakers for replicas with nothing wrong
	series     []point
}

// A point is a bin of a trace.
type point struct{ offered, reached, ok int }

// judge sums up a trace of a scenario.
func (s scenario) judge(tr trace) outcome {
	trip := tr.trip(s.begins())
	good := max(tr.firstGood(healedAt), healedAt)
	recovered := tr.recovered(healedAt, s.length)
	o := outcome{
		trip: sub(trip, s.begins()), good: sub(good, healedAt), recovered: sub(recovered, healedAt),
		sinceGood: sub(recovered, max(good, healedAt+s.able())),
		openings:  tr.openings(s.begins()), again: tr.openings(good),
		rejected: count(tr.calls, isRejected), failed: count(tr.calls, isFailed),
		lost: tr.lost(healedAt, s.length), step: tr.step(good, s.length, s.p95()),
		series: tr.series(s.length),
	}
	if trip < healedAt {
		after := tr.between(trip, healedAt)
		o.afterTrip, o.afterShare = count(after, isReached), share(after, isReached)
	}
	isHealthy := func(replica int) bool { return s.health(s.begins(), replica) == health{} }
	o.healthy = count(tr.calls, func(c call) bool { return !c.reached && isHealthy(c.replica) })
	for _, opening := range tr.opened {
		if s.eachOne && isHealthy(opening.replica) {
			o.wrong++
		}
	}
	return o
}

// able is how long after the heal the backend bears 95 % of the load.
func (s scenario) able() time.Duration {
	if s.name != cold {
		return 0
	}
	wanted := 0.95 / headroom
	return time.Duration((wanted - coldShare) / (1 - coldShare) * float64(warmFor))
}

func (s scenario) p95() func(time.Duration) time.Duration {
	if s.name == cold {
		return coldP95
	}
	return calmP95
}

// sub is t-from, at least 0, where t has come.
func sub(t, from time.Duration) time.Duration {
	if t == never {
		return never
	}
	return max(0, t-from)
}

// pointsEvery is how finely pictures are drawn.
const pointsEvery = 200 * time.Millisecond

func (tr trace) series(length time.Duration) (all []point) {
	for t := time.Duration(0); t < length; t += pointsEvery {
		calls := tr.between(t, t+pointsEvery)
		all = append(all, point{len(calls), count(calls, isReached), count(calls, isOK)})
	}
	return all
}

// outcomes are those of all seeds, by scenario and contender.
type outcomes map[string]map[string][]outcome

// simulateAll runs each scenario with each contender and each seed.
func simulateAll(t *testing.T, all []scenario, makers []guardMaker, o Options) outcomes {
	logx.Disable() // go-zero tells of each second in which it drops something
	results := outcomes{}
	for _, s := range all {
		results[s.name] = map[string][]outcome{}
		for _, m := range makers {
			for seed := range uint64(o.Seeds) {
				one := s.with(seed + 1)
				results[s.name][m.name] = append(results[s.name][m.name], one.judge(simulate(t, one, m, o.Rate, seed+1)))
			}
		}
	}
	return results
}

// pick takes one figure out of each seed's outcome.
func pick[T any](all []outcome, f func(outcome) T) (values []T) {
	for _, o := range all {
		values = append(values, f(o))
	}
	return values
}

// middle is the median, the smaller one of two.
func middle[T time.Duration | float64 | int](all []T) T {
	return slices.Sorted(slices.Values(all))[(len(all)-1)/2]
}
