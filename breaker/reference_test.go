package breaker_test

import (
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/ballast-go/ballast/breaker"
)

// A reference is the machine as one would write it down: events in slices, one
// goroutine, no packed words. It is told what it cannot know: the open time that
// was drawn, and when a recovery ends. Times are since the epoch, and the clock
// of those methods that take no time stands at 0.
type reference struct {
	cfg    breaker.Config // with nothing left to default
	state  breaker.State
	gen    int
	gate   time.Duration // no call before
	latest time.Duration

	slots  map[uint32]bool // that are there
	events []refEvent      // of the window
	newest uint32
	streak int64

	level     int
	closedAt  time.Duration
	openFor   time.Duration
	probes    []*refPermit
	good, bad int

	total                           [4]uint64 // as CountsAt
	late, rejected, opened, expired uint64
}

const refForever = time.Duration(math.MaxInt64)

type refEvent struct {
	slot uint32
	o    breaker.Outcome
	slow bool
}

type refPermit struct {
	gen       int
	trial     bool // not of a closed breaker
	start     time.Duration
	slowAfter time.Duration // as of when it was given out
	begun     bool
	slow      bool          // when it began
	served    time.Duration // until it began
	done      bool
	over      bool
}

func newReference(cfg breaker.Config) *reference {
	r := &reference{cfg: cfg, slots: map[uint32]bool{}, closedAt: -24 * time.Hour}
	r.newest = r.number(0)
	return r
}

// number is the slot of a time: 64 to a window, counted from 2^62 ns before the
// epoch.
func (r *reference) number(now time.Duration) uint32 {
	n, _ := bits.Mul64(uint64(now)+1<<62, math.MaxUint64/uint64(r.cfg.Window/64)+1)
	return uint32(n)
}

func (r *reference) counts(now time.Duration) (sum [4]uint64) {
	for _, e := range r.events {
		if r.number(now)-e.slot < 64 {
			sum = e.add(sum)
		}
	}
	return sum
}

func (e refEvent) add(sum [4]uint64) [4]uint64 {
	sum[[...]int{breaker.Success: 0, breaker.Failure: 1, breaker.Ignore: 2}[e.o]]++
	if e.slow {
		sum[3]++
	}
	return sum
}

func (r *reference) forget() { r.slots, r.events, r.streak = map[uint32]bool{}, nil, 0 }

func (r *reference) count(now time.Duration, o breaker.Outcome, slow bool) {
	n := r.number(now)
	if !r.slots[n] {
		behind := r.newest - n
		switch isBehind := int32(n-r.newest) < 0; {
		case isBehind && behind >= 64:
			r.slots, r.events, r.newest = map[uint32]bool{}, nil, n // the streak goes on
		case !isBehind:
			r.newest = n
		}
		isGone := func(s uint32) bool { return s%64 == n%64 } // its place is taken
		for s := range r.slots {
			if isGone(s) {
				delete(r.slots, s)
			}
		}
		r.events = slices.DeleteFunc(r.events, func(e refEvent) bool { return isGone(e.slot) })
		r.slots[n] = true
	}
	e := refEvent{n, o, slow && o != breaker.Ignore}
	r.events = append(r.events, e)
	r.total = e.add(r.total)
}

func (r *reference) note(o breaker.Outcome) {
	switch o {
	case breaker.Success:
		r.streak = 0
	case breaker.Failure:
		r.streak++
	}
}

func (r *reference) isOver(now time.Duration) bool {
	if r.cfg.ConsecutiveFailures > 0 && r.streak >= int64(r.cfg.ConsecutiveFailures) {
		return true
	}
	c := r.counts(now)
	calls := float64(c[0] + c[1])
	return calls >= float64(r.cfg.MinCalls) && (float64(c[1])/calls >= r.cfg.FailureRate ||
		r.cfg.SlowAfter > 0 && float64(c[3])/calls >= r.cfg.SlowRate)
}

// clock never goes back by less than a second.
func (r *reference) clock(now time.Duration) time.Duration {
	if now < r.latest && r.latest-now <= time.Second {
		return r.latest
	}
	r.latest = now
	return now
}

func (r *reference) part(gate time.Duration, to breaker.State) {
	r.gen++
	r.gate, r.probes, r.state = gate, nil, to
	r.forget()
}

// most is how long the next open time may be.
func (r *reference) most() time.Duration {
	return time.Duration(min(float64(r.cfg.MaxOpenFor), float64(r.cfg.OpenFor)*math.Pow(1.25, float64(r.level))))
}

// open draws 0 as the open time: the real one is told after.
func (r *reference) open(now time.Duration) {
	r.part(now, breaker.Open)
	r.opened++
}

func (r *reference) trip(now time.Duration) {
	if r.state != breaker.Closed {
		return
	}
	if now-r.closedAt > r.cfg.Window {
		r.level = 0
	}
	r.open(now)
}

func (r *reference) close(now time.Duration) {
	r.forget()
	r.state, r.closedAt = breaker.Closed, now
}

func (r *reference) isClosed() bool {
	return r.state == breaker.Closed || r.state == breaker.ForcedClosed
}

// allow is AllowAt up to a recovery; asks is false if that is who decides.
func (r *reference) allow(now time.Duration) (p *refPermit, decides bool) {
	if r.isClosed() {
		return r.closedPermit(now), true
	}
	wait := r.gate - now
	if now < r.gate && (r.gate == refForever || wait <= max(r.cfg.MaxOpenFor, r.cfg.ProbeTTL)) {
		return nil, r.state != breaker.Recovering
	}
	now = r.clock(now)
	if r.state == breaker.Open {
		if now < r.gate {
			r.gate = min(r.gate, now+r.openFor)
			return nil, true
		}
		r.state, r.good, r.bad, r.probes = breaker.HalfOpen, 0, 0, nil
	}
	if r.state == breaker.Recovering {
		return nil, false
	}
	if r.expire(now); r.state != breaker.HalfOpen {
		return nil, true
	}
	if len(r.probes)+r.good+r.bad < r.cfg.Probes {
		p = r.trial(now)
		r.probes = append(r.probes, p)
	}
	r.gate = now
	if len(r.probes)+r.good+r.bad >= r.cfg.Probes {
		r.gate += r.cfg.ProbeTTL
		for _, p := range r.probes {
			r.gate = min(r.gate, p.start+r.cfg.ProbeTTL)
		}
	}
	return p, true
}

func (r *reference) closedPermit(now time.Duration) *refPermit {
	return &refPermit{gen: r.gen, start: now, slowAfter: r.cfg.SlowAfter}
}

func (r *reference) trial(now time.Duration) *refPermit {
	return &refPermit{gen: r.gen, start: now, trial: true}
}

func (r *reference) expire(now time.Duration) {
	if r.state != breaker.HalfOpen {
		return
	}
	var left []*refPermit
	for _, p := range r.probes {
		if age := now - p.start; age < r.cfg.ProbeTTL && age > -r.cfg.ProbeTTL {
			left = append(left, p)
			continue
		}
		p.over = true
		r.bad++
		r.expired++
	}
	r.probes = left
	r.judge(now)
}

func (r *reference) judge(now time.Duration) {
	limit := r.cfg.FailureRate * float64(r.cfg.Probes)
	switch {
	case float64(r.bad) >= limit:
		r.open(now)
	case float64(r.cfg.Probes-r.good) < limit:
		r.state, r.gate, r.streak = breaker.Recovering, now, 0
	}
}

func (r *reference) service(p *refPermit, now time.Duration) time.Duration {
	return min(max(now-p.start, 1), max(r.cfg.ProbeTTL, r.cfg.SlowAfter))
}

func (r *reference) answer(p *refPermit, o breaker.Outcome) {
	if i := slices.Index(r.probes, p); i >= 0 {
		r.probes = slices.Delete(r.probes, i, i+1)
	} else if o == breaker.Failure {
		r.good--
	} else {
		return
	}
	switch o {
	case breaker.Success:
		r.good++
	case breaker.Failure:
		r.bad++
	}
}

func (r *reference) begin(p *refPermit, now time.Duration) {
	if p.done || p.begun || !p.trial && p.slowAfter == 0 {
		return
	}
	p.begun = true
	if !p.trial {
		p.slow = now-p.start >= p.slowAfter
		return
	}
	if r.expire(now); p.gen != r.gen || p.over {
		return
	}
	p.served = r.service(p, now)
	now = r.clock(max(now, r.latest))
	if r.state == breaker.HalfOpen {
		r.answer(p, breaker.Success)
		r.judge(now)
	}
}

func (r *reference) done(p *refPermit, now time.Duration, o breaker.Outcome) {
	if p.done {
		return
	}
	p.done = true
	if p.trial {
		r.trialDone(p, now, o)
		return
	}
	if p.gen != r.gen {
		r.late++
		return
	}
	slow := p.slow
	if !p.begun {
		slow = p.slowAfter > 0 && now-p.start >= p.slowAfter
	}
	r.counted(now, now, o, slow)
}

// counted is the end of a call of a closed breaker.
func (r *reference) counted(now, end time.Duration, o breaker.Outcome, slow bool) {
	r.count(now, o, slow)
	r.note(o)
	if (o == breaker.Failure || o == breaker.Success && slow) && r.isOver(end) {
		r.trip(now)
	}
}

func (r *reference) trialDone(p *refPermit, now time.Duration, o breaker.Outcome) {
	if r.expire(now); p.gen != r.gen || p.over {
		r.late++
		return
	}
	p.over = true
	served := p.served
	if served == 0 {
		served = r.service(p, now)
	}
	slow := r.cfg.SlowAfter > 0 && served >= r.cfg.SlowAfter
	now = r.clock(now)
	switch r.state {
	case breaker.HalfOpen:
		r.count(now, o, slow)
		r.note(o)
		r.answer(p, o)
		if len(r.probes)+r.good+r.bad < r.cfg.Probes {
			r.gate = now
		}
		r.judge(now)
	case breaker.Recovering:
		r.count(now, o, slow) // the streak is told
	default:
		r.counted(now, now, o, slow)
	}
}

func (r *reference) reset() {
	r.part(0, breaker.Closed)
	r.level, r.closedAt = 0, 0
}

func (r *reference) reconfigure(cfg breaker.Config) {
	old := r.cfg
	r.cfg = cfg
	if old.Window != cfg.Window {
		r.forget()
		r.newest = r.number(0)
	}
}
