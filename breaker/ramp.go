package breaker

import (
	"math"
	"slices"
)

// A ramp is the way back to the full load: how many calls are let through in a
// span of time at most doubles in a step, and a step takes as long as nearly all
// calls do to be answered, so that the one before is known to be borne. A service
// that is given too much, because its caches are cold, says so by its service times
// before it says so by failures.
type ramp struct {
	interval float64 // between two calls, in ns
	least    float64 // the interval of the full load is shorter; this is the first step's
	from     int64   // when the ramp began
	due      float64 // when the next call would come, if they came evenly, in ns since then: a float64 of decades ago would be some ns off
	normal   float64 // median service time without a queue, in ns
	tail     float64 // p95 of them
	before   float64 // median of the step before
	bearing  float64 // by so much more than that may answers take: some services take longer the more they have to do
	draining bool    // what was too much may still be queued: service times say nothing
	steady   int     // steps that were borne, in a row
	wanted   int     // so many are, for the next raise: more after a step back
	valid    int     // calls of earlier steps were made under a load that was too much

	step      int
	since     int64  // when the step began
	length    int64  // p95 of the service times
	rejected  uint64 // Breaker.rejected then
	let       int    // calls let through in this step
	heardAt   int64  // when the first one was, or the last answer to one
	own       int    // of which so many were answered
	succeeded int    // answers in this step, to any
	failed    int
	slow      int
	samples   samples
}

const (
	// By so much a step back divides the load, so that a queue gets empty, too.
	back = 4
	// Of the first step's load, so little is the least that is worth trying.
	lowest = 8
	// Steps at full load before the breaker closes: a queue that fills takes a while
	// to be seen.
	confirming = 5
	// A median service time of so many times the normal one is a queue.
	queueing = 2
	// If it does not lead to failures, it is what is normal: each time, so many
	// times as much is borne from there on.
	lenience = 1.25
)

// recover begins a ramp with twice the load that the probes were. b.mu is held.
func (b *Breaker) recover(now int64) {
	m := &b.machine
	cfg := b.cfg.Load()
	rejected := b.rejected.Load() - m.rejectedAt
	m.demand = max(m.demand, (float64(rejected)+float64(cfg.Probes))/float64(max(now-m.openedAt, 1)))
	took := float64(min(max(now-m.probedAt, 1), int64(cfg.ProbeTTL)))
	if now <= m.probedAt { // the clock was set back, and nobody knows
		took = float64(cfg.OpenFor)
	}
	first := took / float64(2*cfg.Probes)
	m.ramp = ramp{
		interval: first, least: first, from: now,
		normal: float64(m.ramp.samples.quantile(50)), tail: float64(m.ramp.samples.quantile(95)), bearing: 1, wanted: 1, samples: m.ramp.samples,
	}
	b.window.streak.Store(0)
	b.longest.Store(int64(max(cfg.MaxOpenFor, cfg.ProbeTTL))) // the gate is when the next call is due
	b.enterState(Recovering)
	b.nextStep(now)
	b.gate.Store(now)
}

// nextStep begins to look anew. b.mu is held.
func (b *Breaker) nextStep(now int64) {
	r := &b.machine.ramp
	length := r.length
	if r.samples.n > 0 {
		length = r.samples.quantile(95)
	}
	*r = ramp{
		interval: r.interval, least: r.least, from: r.from, due: r.due, normal: r.normal, tail: r.tail, before: r.before, bearing: r.bearing,
		steady: r.steady, wanted: r.wanted, valid: r.valid,
		step: r.step + 1, since: now, length: length, rejected: b.rejected.Load(),
	}
}

// rampUp lets a call through if one is due, or says with the gate when. b.mu is
// held.
func (b *Breaker) rampUp(now int64) *trial {
	if b.step(now); b.machine.state != Recovering {
		return nil
	}
	r := &b.machine.ramp
	// As many as there were probes may come together.
	burst := r.interval * float64(b.cfg.Load().Probes-1)
	r.due = max(r.due, float64(now-r.from))
	wait := r.due - burst - float64(now-r.from)
	if float64(r.let-r.own) > (burst+4*float64(r.length))/max(r.interval, 1/b.wanted(now)) { // they pile up
		wait = float64(max(r.length, int64(r.normal))) / 2
		if r.canStepBack() {
			b.stepBack(now)
		}
	}
	if wait > 0 {
		b.gate.Store(now + int64(wait) + 1)
		return nil
	}
	r.due += r.interval
	b.gate.Store(max(now, r.from+int64(r.due-burst)))
	if r.let++; r.let == 1 {
		r.heardAt = now
	}
	return b.newTrial(now, r.step)
}

// begin counts the first byte of an answer.
func (r *ramp) begin(t *trial, now int64, isSlow bool) {
	if t.step < r.valid {
		return
	}
	r.hear(t, now)
	r.succeeded++
	r.samples.add(t.served)
	if isSlow {
		r.slow++
	}
}

// hear counts an answer to a call of this step.
func (r *ramp) hear(t *trial, now int64) {
	if t.step == r.step {
		r.own++
		r.heardAt = now
	}
}

// answer counts the end of a call, which took served.
func (r *ramp) answer(t *trial, now, served int64, o Outcome, isSlow bool) {
	if t.step < r.valid {
		return
	}
	if t.served == 0 {
		r.hear(t, now)
	}
	switch {
	case o == Failure:
		r.failed++
	case o == Success && t.served == 0:
		r.succeeded++
		r.samples.add(served)
	}
	if isSlow && t.served == 0 {
		r.slow++
	}
}

// step goes on, or back, or holds, as soon as the step that it is at allows to
// say so. b.mu is held.
func (b *Breaker) step(now int64) {
	m := &b.machine
	r := &m.ramp
	cfg := b.cfg.Load()
	answers, enough := r.succeeded+r.failed, max(cfg.Probes, 5)
	switch streak := b.window.streak.Load(); {
	case r.succeeded == 0 && r.failed >= enough, cfg.ConsecutiveFailures > 0 && streak >= int64(cfg.ConsecutiveFailures):
		b.stepBack(now)
		return
	case 2*r.own < r.let && now-r.heardAt >= int64(cfg.ProbeTTL):
		b.open(now) // it does not even say so; or reports get lost, and the places of those calls are never free
		return
	case answers < enough && r.let > answers: // shares of so few say nothing
		return
	case r.failed > 0 && float64(r.failed) >= cfg.FailureRate*float64(answers):
		// Of 20, a service that fails two times in five, and is borne, fails ten and more
		// each fourth time: steps are many, and so it takes 1.5 standard deviations.
		excess := float64(r.failed) - cfg.FailureRate*float64(answers)
		if answers >= max(enough, min(cfg.MinCalls, defaultMinCalls)) && excess >= 0.75*math.Sqrt(float64(answers)) {
			b.stepBack(now)
		}
		return // too few to go back, and none to go on
	}
	median := float64(r.samples.quantile(50))
	if r.queues(median/1.5) && r.canStepBack() {
		r.bearing *= lenience
		b.stepBack(now)
		return
	}
	if now-r.since < r.length || 2*r.own < r.let || r.own < min(cfg.Probes, r.let) || r.own == 0 {
		return
	}
	b.endStep(cfg, now, answers, median)
}

// endStep decides what comes after a step that was not too much. b.mu is held.
func (b *Breaker) endStep(cfg *Config, now int64, answers int, median float64) {
	r := &b.machine.ramp
	// Twice of what is wanted, so that no call is turned away for coming early.
	full := 1 >= 2*r.interval*b.wanted(now)
	wanted := r.wanted
	if full {
		wanted = max(wanted, confirming)
	}
	r.steady++
	switch {
	case cfg.SlowAfter > 0 && float64(r.slow) >= cfg.SlowRate*float64(max(answers, 1)):
		r.steady = 0
	case r.queues(median):
		r.steady, r.bearing = 0, lenience*r.bearing
		if median > 1.2*r.before && r.canStepBack() {
			b.stepBack(now)
			return
		}
	case r.steady < wanted:
	case full:
		b.close(now)
		return
	default:
		r.interval /= 2
		r.steady, r.wanted = 0, max(1, r.wanted/2)
	}
	r.learn(median)
	b.nextStep(now)
}

// A step's service times are judged from so many on.
const telling = 10

// queues reports whether calls wait for each other: half of them take longer than
// 95 % did, and than twice as long as half of them did, when they did not.
func (r *ramp) queues(median float64) bool {
	return !r.draining && r.samples.n >= telling && median > r.bearing*queueing*r.normal && median > r.bearing*r.tail
}

// learn takes a step's service times into account.
func (r *ramp) learn(median float64) {
	if r.samples.n == 0 {
		return
	}
	r.before = median
	p95 := float64(r.samples.quantile(95))
	switch {
	case 2*r.interval >= r.least && !r.draining: // the load is next to nothing, and what probes took was chance
		r.tail = max(r.tail, p95)
	case r.samples.n >= 2*telling:
		r.normal, r.tail = min(r.normal, median), min(r.tail, p95)
	}
}

// wanted is how many calls callers want to make, in one ns. b.mu is held.
func (b *Breaker) wanted(now int64) float64 {
	r := &b.machine.ramp
	offered := float64(r.let) + float64(b.rejected.Load()-r.rejected)
	return max(b.machine.demand, offered/float64(max(now-r.since, 1)))
}

// canStepBack reports whether stepBack would not open.
func (r *ramp) canStepBack() bool { return back*r.interval <= lowest*r.least }

// stepBack divides the load, or opens again where there is nothing to divide. b.mu
// is held.
func (b *Breaker) stepBack(now int64) {
	r := &b.machine.ramp
	if !r.canStepBack() {
		b.open(now)
		return
	}
	// Of what was let through: more than is wanted was allowed, perhaps.
	r.interval = min(back*max(r.interval, 1/b.wanted(now)), lowest*r.least)
	r.steady, r.wanted, r.valid = 0, min(2*r.wanted, 16), r.step+1
	b.window.streak.Store(0)
	b.nextStep(now)
	r.draining = true
}

// close lets every call through. b.mu is held.
func (b *Breaker) close(now int64) {
	b.forget()
	b.machine.closedAt = now
	b.enterState(Closed)
	b.refill()
}

// samples are the last service times, in ns.
type samples struct {
	of   [64]int64
	n    int // of
	next int
}

func (s *samples) clear() { *s = samples{} }

func (s *samples) add(d int64) {
	s.of[s.next] = max(d, 0)
	s.next = (s.next + 1) % len(s.of)
	s.n = min(s.n+1, len(s.of))
}

// quantile is what percent of them do not exceed, 0 without any.
func (s *samples) quantile(percent int) int64 {
	if s.n == 0 {
		return 0
	}
	sorted := slices.Clone(s.of[:s.n])
	slices.Sort(sorted)
	return sorted[(s.n*percent+99)/100-1]
}
