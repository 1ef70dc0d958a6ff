package breaker

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
	"unsafe"
)

// A machine is what a Breaker is up to. Its owner's mu guards it. Times are in ns
// since the Breaker's epoch.
type machine struct {
	state    State
	level    int   // how often OpenFor grows next
	closedAt int64 // when it last closed
	openedAt int64
	openFor  int64 // as drawn
	latest   int64 // time of anything

	// What callers want, in calls per ns: the most of what was seen before the
	// opening and since.
	demand     float64
	rejectedAt uint64 // Breaker.rejected at openedAt

	probes    []*trial // that are out
	probedAt  int64    // when the first one went
	good, bad int      // of those that are not

	ramp ramp
}

// clock is the machine's time: now, or the latest that it has seen, for who says
// now may have waited since, or have it of something that began before. If it is
// behind by more than a second, the clock was set back.
func (m *machine) clock(now int64) int64 {
	if behind := m.latest - now; behind > 0 && behind <= int64(time.Second) {
		return m.latest
	} else if behind > 0 {
		m.ramp.due, m.ramp.since, m.ramp.heardAt = min(m.ramp.due, float64(now-m.ramp.from)), min(m.ramp.since, now), min(m.ramp.heardAt, now)
	}
	m.latest = now
	return now
}

// A trial is a permit given out while not every call is let through: a probe,
// or one of a recovery.
type trial struct {
	Permit // first: Permit.trial relies on it
	b      *Breaker
	gen    uint64
	start  int64
	step   int   // of the recovery; 0 for a probe
	served int64 // how long it took to its first byte; 0 if not there yet
	over   bool  // it is Done, or the probe has expired
}

func (p *Permit) trial() *trial { return (*trial)(unsafe.Pointer(p)) }

// newTrial gives out a permit. b.mu is held.
func (b *Breaker) newTrial(now int64, step int) *trial {
	t := &trial{b: b, gen: b.gen.Load(), start: now, step: step}
	t.word = isIssued | isAlone
	return t
}

// backoff is by how much an open time grows when the last one was in vain. With
// 1.25, a service that is back is found after a quarter of the time, about, that it
// was away.
const backoff = 1.25

// forever is the gate that no time reaches.
const forever = math.MaxInt64

// try decides while not every call is let through. Without a permit and an error
// that is over.
func (b *Breaker) try(now int64) (*Permit, error) {
	cfg := b.cfg.Load()
	gate := b.gate.Load()
	if gate == forever { // from which nothing can be taken: now may be below 0
		return nil, b.refuse(forever)
	}
	if wait := gate - now; now < gate && wait <= int64(max(cfg.MaxOpenFor, cfg.ProbeTTL)) {
		return nil, b.refuse(wait)
	}
	b.mu.Lock()
	defer b.unlock()
	m := &b.machine
	now = m.clock(now)
	switch m.state {
	case Closed, ForcedClosed:
		return nil, nil
	case ForcedOpen:
		return nil, b.refuse(forever)
	case Open:
		if gate = b.gate.Load(); now < gate {
			if gate-now > m.openFor { // the clock went back
				b.gate.Store(now + m.openFor)
			}
			return nil, b.refuse(b.gate.Load() - now)
		}
		b.halfOpen(now)
	}
	if m.state == HalfOpen {
		if t := b.probe(cfg, now); t != nil {
			return &t.Permit, nil
		}
	} else if t := b.rampUp(now); t != nil {
		return &t.Permit, nil
	} else if m.state == Closed {
		return nil, nil
	}
	return nil, b.refuse(b.gate.Load() - now)
}

// refuse makes the error of a call that is not let through.
func (b *Breaker) refuse(wait int64) error {
	b.rejected.Add(1)
	after := min(max(time.Duration(wait), time.Millisecond), time.Duration(b.longest.Load()))
	// In a flood, one error is for all who are to come back at about one time.
	if e := b.refusal.Load(); e != nil && e.RetryAfter >= after && e.RetryAfter-after <= after/8 {
		return e
	}
	e := &OpenError{Name: b.name, RetryAfter: after}
	b.refusal.Store(e)
	return e
}

// trip opens the breaker if gen is not over.
func (b *Breaker) trip(gen uint64, now int64) {
	b.mu.Lock()
	defer b.unlock()
	if b.gen.Load() == gen {
		b.tripLocked(now)
	}
}

// tripLocked opens the breaker if it is closed. b.mu is held.
func (b *Breaker) tripLocked(now int64) {
	m := &b.machine
	cfg := b.cfg.Load()
	if m.state != Closed {
		return
	}
	if now-m.closedAt > int64(cfg.Window) {
		m.level = 0
	}
	sum := b.window.sum(b.window.number(now))
	span := now - m.closedAt
	if span <= 0 || span > int64(cfg.Window) { // the former, if the clock went back
		span = int64(cfg.Window)
	}
	m.demand = float64(sum.calls()) / float64(span)
	b.open(now)
}

// open begins an open time, longer than the last one if that was in vain. b.mu is
// held.
func (b *Breaker) open(now int64) {
	m := &b.machine
	cfg := b.cfg.Load()
	d := int64(min(float64(cfg.MaxOpenFor), float64(cfg.OpenFor)*math.Pow(backoff, float64(m.level))))
	m.level++
	m.openFor = d - rand.Int64N(d/2+1)
	m.openedAt, m.rejectedAt = now, b.rejected.Load()
	b.part(now + m.openFor)
	b.longest.Store(m.openFor)
	b.opened++
	b.enterState(Open)
}

// part ends a generation: outcomes of the calls so far count for nothing from here
// on. No call is let through before gate. b.mu is held.
func (b *Breaker) part(gate int64) {
	b.gen.Add(1)
	b.gate.Store(gate)
	b.longest.Store(int64(b.cfg.Load().OpenFor))
	b.slab.Store(nil)
	b.forget()
	b.machine.probes = nil
}

// forget begins a window anew. b.mu is held.
func (b *Breaker) forget() {
	old := b.window
	b.window = newWindow(b.cfg.Load().Window)
	b.folded.add(old.clear())
}

// halfOpen begins to probe. b.mu is held.
func (b *Breaker) halfOpen(now int64) {
	m := &b.machine
	m.good, m.bad, m.probes, m.probedAt = 0, 0, nil, now
	m.ramp.samples.clear()
	b.longest.Store(int64(b.cfg.Load().OpenFor)) // the gate is where probes expire, which few do
	b.enterState(HalfOpen)
}

// probe gives out a probe, or says with the gate when to ask again. b.mu is held.
func (b *Breaker) probe(cfg *Config, now int64) *trial {
	m := &b.machine
	if b.expire(now); m.state != HalfOpen {
		return nil
	}
	var t *trial
	if len(m.probes)+m.good+m.bad < cfg.Probes {
		t = b.newTrial(now, 0)
		m.probes = append(m.probes, t)
	}
	gate := now
	if len(m.probes)+m.good+m.bad >= cfg.Probes {
		gate = now + int64(cfg.ProbeTTL)
		for _, t := range m.probes {
			gate = min(gate, t.start+int64(cfg.ProbeTTL))
		}
	}
	b.gate.Store(gate)
	return t
}

// expire counts the probes that took too long as failed. b.mu is held.
func (b *Breaker) expire(now int64) {
	m := &b.machine
	if m.state != HalfOpen {
		return
	}
	ttl := int64(b.cfg.Load().ProbeTTL)
	m.probes = slices.DeleteFunc(m.probes, func(t *trial) bool {
		if age := now - t.start; age < ttl && age > -ttl { // else the clock went back
			return false
		}
		t.over = true
		m.bad++
		b.expired++
		return true
	})
	b.judge(now)
}

// judge ends the probing as soon as it is clear how. b.mu is held.
func (b *Breaker) judge(now int64) {
	m := &b.machine
	cfg := b.cfg.Load()
	probes := float64(cfg.Probes)
	switch limit := cfg.FailureRate * probes; {
	case float64(m.bad) >= limit:
		b.open(now)
	case probes-float64(m.good) < limit:
		b.recover(now)
	}
}

// done counts how a trial ended.
func (t *trial) done(now int64, o Outcome) {
	b := t.b
	b.mu.Lock()
	defer b.unlock()
	m := &b.machine
	if b.expire(now); t.gen != b.gen.Load() || t.over {
		b.late.Add(1)
		return
	}
	t.over = true
	served := t.served
	if served == 0 {
		served = t.service(now)
	}
	isSlow := o != Ignore && b.isSlow(served)
	now = m.clock(now)
	b.window.count(b.slot(now), o, isSlow)
	if m.state != Recovering || t.step >= m.ramp.valid {
		b.window.note(o)
	}
	switch m.state {
	case HalfOpen:
		if o == Success && t.served == 0 {
			m.ramp.samples.add(served)
		}
		t.answer(o)
		if len(m.probes)+m.good+m.bad < b.cfg.Load().Probes {
			b.gate.Store(now) // a place is free
		}
		b.judge(now)
	case Recovering:
		m.ramp.answer(t, now, served, o, isSlow)
		b.step(now)
	default:
		if isBad(o, isSlow) && b.window.isOver(b.cfg.Load(), b.newest) {
			b.tripLocked(now)
		}
	}
}

// isSlow reports whether a call is slow that took served.
func (b *Breaker) isSlow(served int64) bool {
	after := int64(b.cfg.Load().SlowAfter)
	return after > 0 && served >= after
}

// service is how long the call has taken at the time now. More than a probe may
// take is no service time: it waited for something else, or the clock jumped.
func (t *trial) service(now int64) int64 {
	cfg := t.b.cfg.Load()
	return min(max(now-t.start, 1), int64(max(cfg.ProbeTTL, cfg.SlowAfter)))
}

// answer says what a probe says. b.mu is held.
func (t *trial) answer(o Outcome) {
	m := &t.b.machine
	if i := slices.Index(m.probes, t); i >= 0 {
		m.probes = slices.Delete(m.probes, i, i+1)
	} else if o == Failure {
		m.good-- // it was counted at its first byte
	} else {
		return
	}
	switch o {
	case Success:
		m.good++
	case Failure:
		m.bad++
	}
}

// begin is FirstByte.
func (t *trial) begin(now int64) {
	b := t.b
	b.mu.Lock()
	defer b.unlock()
	if b.expire(now); t.gen != b.gen.Load() || t.over {
		return
	}
	t.served = t.service(now)
	now = b.machine.clock(max(now, b.machine.latest)) // it may be as long ago as whoever takes the answer is slow
	switch b.machine.state {
	case HalfOpen:
		b.machine.ramp.samples.add(t.served)
		t.answer(Success)
		b.judge(now)
	case Recovering:
		b.machine.ramp.begin(t, now, b.isSlow(t.served))
		b.step(now)
	}
}
