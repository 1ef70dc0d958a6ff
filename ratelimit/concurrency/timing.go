package concurrency

import (
	"sync/atomic"
	"time"
)

// Where a limiter is busier than sparseFrom calls a second, one call of
// sparseMask+1 is timed: there are plenty then, and reading the clock twice
// takes longer than all the rest.
const (
	sparseFrom = 10_000
	sparseMask = 15
)

// tickEvery is how often what need not be done at every call is done.
const tickEvery = int64(100 * time.Millisecond)

// pacer is when that was done last.
type pacer struct {
	sparse   atomic.Uint64 // sparseMask or 0
	tickedAt atomic.Int64  // 0 before the first
	ticking  atomic.Bool
	tickets  uint64 // given out at tickedAt; ticking guards it
}

// begin notes when p was given out.
func (l *Limiter) begin(p *Permit) {
	now := l.clock()
	p.state.Store(uint64(now) << startShift)
	l.tick(now, p)
}

// tick does what is to be done now and then. p is the caller's permit, or nil if
// he found no room.
func (l *Limiter) tick(now int64, p *Permit) {
	last := l.tickedAt.Load()
	passed := now - last
	if last != 0 && 0 <= passed && passed < tickEvery || !l.ticking.CompareAndSwap(false, true) {
		return // a negative time passed when the clock goes back
	}
	defer l.ticking.Store(false)
	l.tickedAt.Store(now)
	tickets := l.state.Load() >> ticketShift
	rate := float64(tickets-l.pacer.tickets) / float64(passed) * 1e9
	l.pacer.tickets = tickets
	l.sparse.Store(0)
	if last != 0 && rate > sparseFrom { // false, too, of what a clock that went back makes of it
		l.sparse.Store(sparseMask)
	}
	if l.cfg.Adaptive != nil && p == nil { // a call found no room
		l.starve(now)
	}
	if l.cfg.Pressure != nil {
		exits := true
		defer func() {
			if exits { // Pressure called runtime.Goexit, and nobody gets p
				p.Release()
			}
		}()
		l.setPressure(l.askPressure())
		exits = false
	}
}

// starve lets the adaptive limit know that a call found no room.
func (l *Limiter) starve(now int64) {
	l.limitMu.Lock()
	defer l.limitMu.Unlock()
	state := l.state.Load()
	if l.controller.starve(now, int(inFlight(state)), state>>ticketShift) {
		l.setLimit(int(l.controller.limit))
	}
}

// measure lets the adaptive limit learn from a permit with the given state.
func (l *Limiter) measure(permit uint64) {
	if l.cfg.Adaptive == nil {
		return
	}
	now := l.clock()
	state := l.state.Load()
	s := sample{
		began:    int64(permit) >> startShift,
		outcome:  permit & outcomeMask >> outcomeShift,
		inFlight: int(inFlight(state)),
		tickets:  state >> ticketShift,
		each:     int(l.sparse.Load()) + 1,
	}
	if !l.limitMu.TryLock() {
		return // another call is as good
	}
	defer l.limitMu.Unlock()
	s.refused = l.refused.Load() && l.refused.Swap(false)
	if l.controller.observe(now, s) {
		l.setLimit(int(l.controller.limit))
	}
}
