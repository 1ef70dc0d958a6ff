package breaker

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// A Permit is the right to make one call, until Done. A nil *Permit is that of
// nothing: its methods do nothing. A Permit must not be copied. Its methods may be
// called by several goroutines.
type Permit struct {
	_ noCopy

	// word is the permit's place in its slab and when it was given out, if calls
	// are timed, above the bits that follow. It is 0 once the permit is Done.
	word uint64
}

// What a permit's word holds.
const (
	isIssued = 1 << iota
	isAlone  // it is part of a trial, not of a slab
	isBegun  // its first byte was there
	isSlow   // and late

	placeShift = 4 // 9 bits
	placeMask  = 1<<9 - 1
	startShift = placeShift + 9 // 51 bits, 13 days in ns either way: what takes longer counts modulo that
)

// noCopy has go vet find copies.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// Done says how the call ended, now. Only the first one counts, and one that
// comes too late does not: of a probe after Config.ProbeTTL, or of any permit
// after the breaker has opened.
func (p *Permit) Done(o Outcome) {
	if word, ok := p.end(); ok {
		b := p.breaker(word)
		p.ended(word, b, b.now(), o)
	}
}

// DoneAt is Done at the time t.
func (p *Permit) DoneAt(t time.Time, o Outcome) {
	word, ok := p.end()
	if !ok {
		return
	}
	b := p.breaker(word)
	now := int64(t.Sub(b.epoch)) // b.at and slab.report without the calls: they are half of it
	if isFar(now) {
		now = b.farAt(t)
	}
	if word&isAlone == 0 && o == Success {
		if s := p.slab(word); s.slowAfter == 0 && s.window.streak.Load() == 0 && s.window.success(now) {
			return
		}
	}
	p.ended(word, b, now, o)
}

// end ends the permit, and reports whether it did, with what its word was.
func (p *Permit) end() (word uint64, ok bool) {
	if p == nil {
		return 0, false
	}
	word = atomic.SwapUint64(&p.word, 0)
	return word, word != 0
}

// ended counts how the call went.
func (p *Permit) ended(word uint64, b *Breaker, now int64, o Outcome) {
	if word&isAlone != 0 {
		p.trial().done(now, o)
		return
	}
	s := p.slab(word)
	s.report(now, o, s.slowAfter > 0 && s.isSlow(word, now))
}

// FirstByte says that the answer has begun, now: from here on time is what the
// answer is long, not what the service is slow. The call's service time, for
// SlowAfter and for the recovery, is the time until now, and a probe counts as
// succeeded, so that a long stream does not hold up the recovery. How it ends is
// still for Done to say: a Failure then counts all the same. Only the first call
// counts, and none after Done.
func (p *Permit) FirstByte() {
	if b := p.awaited(); b != nil {
		p.begin(b.now())
	}
}

// FirstByteAt is FirstByte at the time t.
func (p *Permit) FirstByteAt(t time.Time) {
	if b := p.awaited(); b != nil {
		p.begin(b.at(t))
	}
}

// awaited returns whose permit p is if a first byte means anything to it, else
// nil.
func (p *Permit) awaited() *Breaker {
	if p == nil {
		return nil
	}
	word := atomic.LoadUint64(&p.word)
	if word&(isIssued|isBegun) != isIssued || word&isAlone == 0 && p.slab(word).slowAfter == 0 {
		return nil
	}
	return p.breaker(word)
}

func (p *Permit) begin(now int64) {
	for {
		word := atomic.LoadUint64(&p.word)
		if word&(isIssued|isBegun) != isIssued {
			return
		}
		begun := word | isBegun
		if word&isAlone == 0 && p.slab(word).isSlow(word, now) {
			begun |= isSlow
		}
		if atomic.CompareAndSwapUint64(&p.word, word, begun) {
			if word&isAlone != 0 {
				p.trial().begin(now)
			}
			return
		}
	}
}

// breaker returns whose permit it is.
func (p *Permit) breaker(word uint64) *Breaker {
	if word&isAlone != 0 {
		return p.trial().b
	}
	return p.slab(word).b
}

// slabSize is how many permits are allocated together: what fits into 4 KiB.
const slabSize = 507

// A slab is permits that are given out one after the other while the breaker is
// closed. They are not used again: nothing would tell a second Done by the one
// holder from the first by the next.
type slab struct {
	b         *Breaker
	window    *window // as of b, when it was made
	gen       uint64  // likewise
	slowAfter int64   // ns; 0: no call is timed
	next      atomic.Uint64
	permits   [slabSize]Permit
}

// slab returns the one that p is in, at the place that its word says.
func (p *Permit) slab(word uint64) *slab {
	place := uintptr(word >> placeShift & placeMask)
	return (*slab)(unsafe.Add(unsafe.Pointer(p), -int(unsafe.Offsetof(slab{}.permits)+place*unsafe.Sizeof(Permit{}))))
}

func (s *slab) isSlow(word uint64, now int64) bool {
	if word&isBegun != 0 {
		return word&isSlow != 0
	}
	// Shifted up and down again for its sign: less than 0 if the clock went back.
	return int64(uint64(now)<<startShift-word&^(1<<startShift-1))>>startShift >= s.slowAfter
}

// take gives out the next permit at the time now, which matters for calls that
// are timed only, or nil if there are no more.
func (s *slab) take(now int64) *Permit {
	i := s.next.Add(1) - 1
	if i >= slabSize {
		return nil
	}
	p := &s.permits[i]
	p.word = isIssued | i<<placeShift | uint64(now)<<startShift // nobody else has it yet
	return p
}
