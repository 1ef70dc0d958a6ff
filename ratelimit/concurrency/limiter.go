package concurrency

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// Limiter hands out permits, no more than its limit at a time. It is safe for
// concurrent use, starts no goroutine, and need not be closed.
type Limiter struct {
	cfg   Config
	timed bool      // somebody wants to know the time: Adaptive or Pressure
	base  time.Time // what times are counted from

	_ [64]byte
	// state is everything that a call that need not wait depends on, in one
	// word, so that it takes a single compare-and-swap to be let in:
	//
	//	bit  0       somebody waits: new calls go through mu
	//	bits 1-20    permits that are out
	//	bits 21-63   permits given out so far, modulo 2⁴³
	state atomic.Uint64
	_     [56]byte // what follows is only read by most calls

	rooms [classes]atomic.Int64 // by rank: in flight at most, to be let in
	slab  atomic.Pointer[slab]
	none  origin

	bytes    atomic.Int64          // in flight; only with MaxBytes
	byteRoom [classes]atomic.Int64 // by rank

	pacer   // if timed
	limits  // how rooms come about
	waiting // who found no room
	tally
}

const (
	queuedBit     = 1
	inFlightShift = 1
	ticketShift   = 21
	ticketMask    = 1<<(64-ticketShift) - 1
	oneInFlight   = 1 << inFlightShift
	oneAdmitted   = oneInFlight | 1<<ticketShift
)

func inFlight(state uint64) int64 { return int64(state >> inFlightShift & maxMax) }

// New returns a limiter, or everything that is wrong with cfg.
func New(cfg Config) (*Limiter, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	l := &Limiter{cfg: cfg, base: time.Now(), timed: cfg.Adaptive != nil || cfg.Pressure != nil}
	l.limits.max, l.limits.now = cfg.Max, cfg.Max
	if cfg.Adaptive != nil {
		l.controller = newController(*cfg.Adaptive, cfg.Max)
		l.limits.now = cfg.Adaptive.Initial
	}
	l.none.l = l
	l.slab.Store(new(slab))
	l.setRooms()
	return l, nil
}

// Acquire returns a permit, as soon as there is one for the class of ctx's
// calls (see [ContextWithCriticality]). The caller must Release it. Otherwise it
// returns [ErrQueueFull], [ErrShed], [ErrTimeout], or ctx's error if that ended.
func (l *Limiter) Acquire(ctx context.Context) (*Permit, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// Where there is room for the lowest class there is for any, and nobody
	// needs to know which it is.
	for {
		s := l.state.Load()
		if s&queuedBit != 0 || inFlight(s) >= l.rooms[classes-1].Load() {
			return l.acquire(ctx, CriticalityFromContext(ctx).rank(), 0)
		}
		if l.state.CompareAndSwap(s, s+oneAdmitted) {
			p, timed := l.permit(s >> ticketShift)
			if timed {
				l.begin(p)
			}
			return p, nil
		}
	}
}

// AcquireBytes is like Acquire for a call that will hold n bytes of memory
// until the permit is released. They count against MaxBytes; without MaxBytes
// they do not matter. An n above MaxBytes fails with [ErrTooLarge]; a negative
// one panics.
func (l *Limiter) AcquireBytes(ctx context.Context, n int64) (*Permit, error) {
	if n < 0 {
		panic(fmt.Sprintf("concurrency: AcquireBytes(%d)", n))
	}
	if l.cfg.MaxBytes == 0 || n == 0 {
		return l.Acquire(ctx)
	}
	rank := CriticalityFromContext(ctx).rank()
	if n > l.cfg.MaxBytes {
		l.tooLarge[rank].Add(1)
		return nil, ErrTooLarge
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return l.acquire(ctx, rank, n)
}

// acquire is for calls whose class matters.
func (l *Limiter) acquire(ctx context.Context, rank int, n int64) (*Permit, error) {
	if l.state.Load()&queuedBit == 0 {
		if p, timed := l.take(rank, n); p != nil {
			if timed {
				l.begin(p)
			}
			return p, nil
		}
	}
	return l.wait(ctx, rank, n)
}

// take returns a permit if there is room, whoever waits.
func (l *Limiter) take(rank int, n int64) (p *Permit, timed bool) {
	if !l.takeBytes(rank, n) {
		return nil, false
	}
	for {
		s := l.state.Load()
		if inFlight(s) >= l.rooms[rank].Load() {
			// Whoever missed these bytes meanwhile waits for a permit, too, or
			// will be looked at by this call's wait.
			l.bytes.Add(-n)
			return nil, false
		}
		if l.state.CompareAndSwap(s, s+oneAdmitted) {
			if n > 0 {
				return l.permitOf(n, s>>ticketShift)
			}
			return l.permit(s >> ticketShift)
		}
	}
}

func (l *Limiter) takeBytes(rank int, n int64) bool {
	if n == 0 {
		return true
	}
	for {
		// The first may be as large as the budget, whatever its class's share.
		used := l.bytes.Load()
		if used > 0 && used+n > l.byteRoom[rank].Load() {
			return false
		}
		if l.bytes.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

// release gives back what p held.
func (l *Limiter) release(n int64) {
	if n != 0 {
		l.bytes.Add(-n) // before the permit, whose return is what wakes others
	}
	if l.state.Add(^uint64(oneInFlight-1))&queuedBit != 0 {
		l.wake()
	}
}

// clock is the time since base, but never 0, which says that something has no
// time. It is negative in a testing/synctest bubble if l was made outside.
func (l *Limiter) clock() int64 { return int64(time.Since(l.base)) | 1 }
