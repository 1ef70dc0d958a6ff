package concurrency

import "sync/atomic"

// A Permit is the right to do one thing, until Release. A nil *Permit is one
// of nothing: its methods do nothing. A Permit must not be copied.
type Permit struct {
	from *origin

	// state is when the permit was given out, if it is timed and not measured
	// yet, in nanoseconds as clock has them, above the bits that follow.
	state atomic.Uint64
}

// What a permit's state holds.
const (
	isReleased   = 1 << 0
	outcomeShift = 1 // two bits
	outcomeMask  = 3 << outcomeShift
	startShift   = 3 // 36 years, either way
)

// What a permit's holder says of how it went.
const (
	served = iota
	ignored
	overloaded
)

// An origin is what a permit is of: the limiter, and bytes. Those of none share
// one.
type origin struct {
	l     *Limiter
	bytes int64
}

// Release gives the permit back. Only the first call counts, and however late
// another comes it does nothing: a Permit is never given out twice, so that
// nobody else's can be meant.
func (p *Permit) Release() {
	if p == nil {
		return
	}
	old := p.state.Swap(isReleased)
	if old&isReleased != 0 {
		return
	}
	if old>>startShift != 0 {
		p.from.l.measure(old)
	}
	p.from.l.release(p.from.bytes)
}

// FirstByte says that the answer has begun: from here on time is what the
// answer is long, not what the service is slow. An adaptive limiter takes the
// time until now for the call's latency, and not the time until Release. Only
// the first call counts, and none after Release.
func (p *Permit) FirstByte() {
	if p == nil {
		return
	}
	for {
		old := p.state.Load()
		if old>>startShift == 0 {
			return
		}
		if p.state.CompareAndSwap(old, old&(1<<startShift-1)) {
			p.from.l.measure(old)
			return
		}
	}
}

// Ignore says that the time this call takes means nothing: the client left, the
// answer came from a cache, the request was malformed. An adaptive limiter then
// does not learn from it. It does nothing after FirstByte or Release.
func (p *Permit) Ignore() { p.say(ignored) }

// Overloaded says that the call failed because what it needs is overloaded: a
// timeout, a refusal. An adaptive limiter takes many of these for a reason to
// let in less, whatever the latency of the others. It does nothing after
// FirstByte or Release.
func (p *Permit) Overloaded() { p.say(overloaded) }

func (p *Permit) say(outcome uint64) {
	if p == nil {
		return
	}
	for {
		old := p.state.Load()
		if old&isReleased != 0 || p.state.CompareAndSwap(old, old&^outcomeMask|outcome<<outcomeShift) {
			return
		}
	}
}

// slabSize is how many permits are allocated together: what fits into 4 KiB.
const slabSize = 255

// A slab is permits with successive tickets. They are not used again, for
// nothing tells a second Release by the one holder from the first by the next.
// The collector finds out for less which of them are free.
type slab struct {
	first   uint64 // ticket, a multiple of slabSize
	permits [slabSize]Permit
}

// permit returns the one with the given ticket, and whether it is to be timed.
func (l *Limiter) permit(ticket uint64) (p *Permit, timed bool) {
	timed = l.timed && ticket&l.sparse.Load() == 0
	for {
		s := l.slab.Load()
		if i := ticket - s.first; i < slabSize {
			p = &s.permits[i]
			p.from = &l.none
			return p, timed
		}
		if ticket < s.first && s.first-ticket < 1<<40 {
			return &Permit{from: &l.none}, timed // others have used up this ticket's slab meanwhile
		}
		l.slab.CompareAndSwap(s, &slab{first: ticket - ticket%slabSize})
	}
}

// sized is a permit of bytes.
type sized struct {
	Permit
	origin
}

func (l *Limiter) permitOf(bytes int64, ticket uint64) (p *Permit, timed bool) {
	s := &sized{origin: origin{l, bytes}}
	s.from = &s.origin
	return &s.Permit, l.timed && ticket&l.sparse.Load() == 0
}
