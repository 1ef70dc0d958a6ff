package breaker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// A Breaker lets calls through as long as what they call works. Its methods may
// be called by several goroutines. It needs no closing.
type Breaker struct {
	name  string
	epoch time.Time // what all times are counted from, in ns
	cfg   atomic.Pointer[Config]

	// Closed or ForcedClosed: where permits come from. Else nil.
	slab atomic.Pointer[slab]
	// Else: no call is let through before.
	gate atomic.Int64
	// And nobody is told to come back later than after so long.
	longest atomic.Int64
	// Counts openings, and what else parts the calls before from those after.
	gen     atomic.Uint64
	refusal atomic.Pointer[OpenError] // the last one, for all who are to come back then

	_ [64]byte // what a flood writes must not slow down what it reads

	rejected atomic.Uint64
	late     atomic.Uint64

	mu      sync.Mutex // guards all below, and changes of slab, gate, gen and cfg
	window  *window
	machine machine
	changes changes
	folded  counts // what windows counted that have passed
	newest  uint32 // slot of the window
	opened  uint64
	expired uint64
}

// New returns a closed Breaker, or all that is wrong with cfg.
func New(cfg Config) (*Breaker, error) {
	full, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	b := &Breaker{name: cfg.Name, epoch: time.Now()}
	b.cfg.Store(full)
	b.window = newWindow(full.Window)
	b.newest = b.window.number(0)
	b.machine.closedAt = -int64(maxTime)
	b.refill()
	return b, nil
}

// Name returns Config.Name.
func (b *Breaker) Name() string { return b.name }

// now reads the clock, once, and only its monotonic part.
func (b *Breaker) now() int64 { return int64(time.Since(b.epoch)) }

// farthest is how far from the epoch times are told apart as they are: 73 years.
// Then the difference of any two fits into an int64.
const farthest = 1 << 61

func (b *Breaker) at(t time.Time) int64 {
	now := int64(t.Sub(b.epoch))
	if isFar(now) {
		return b.farAt(t)
	}
	return now
}

func isFar(d int64) bool { return uint64(d+farthest) >= 2*farthest }

// farAt begins anew every 146 years, but time goes on: a test's clock may begin at 0.
func (b *Breaker) farAt(t time.Time) int64 {
	return ((t.Unix()-b.epoch.Unix())*1e9 + int64(t.Nanosecond())) << 2 >> 2
}

// Allow lets a call through or returns an *[OpenError]. Whoever gets a Permit
// must report its Done, on every way out:
//
//	permit, err := b.Allow()
//	if err != nil {
//		return err
//	}
//	outcome := breaker.Failure // of a panic
//	defer func() { permit.Done(outcome) }()
//
// [Breaker.Do] does that.
func (b *Breaker) Allow() (*Permit, error) {
	s := b.slab.Load()
	if s == nil || s.slowAfter > 0 {
		return b.allow(b.now())
	}
	if p := s.take(0); p != nil {
		return p, nil
	}
	return b.allow(b.now())
}

// AllowAt is Allow at the time t. Times should be of one clock. If they go back by
// more than a Window, the window starts anew, and however far they go back, no
// call is turned away for longer by that than MaxOpenFor and ProbeTTL together.
func (b *Breaker) AllowAt(t time.Time) (*Permit, error) {
	if s := b.slab.Load(); s != nil {
		now := int64(0)
		if s.slowAfter > 0 {
			if now = int64(t.Sub(b.epoch)); isFar(now) {
				now = b.farAt(t)
			}
		}
		if p := s.take(now); p != nil {
			return p, nil
		}
	}
	return b.allow(b.at(t))
}

// allow is Allow where it takes more than a permit from a slab that has one.
func (b *Breaker) allow(now int64) (*Permit, error) {
	for {
		s := b.slab.Load()
		if s == nil {
			p, err := b.try(now)
			if p == nil && err == nil {
				continue // closed meanwhile
			}
			return p, err
		}
		if p := s.take(now); p != nil {
			return p, nil
		}
		b.slab.CompareAndSwap(s, &slab{b: b, window: s.window, gen: s.gen, slowAfter: s.slowAfter})
	}
}

// refill lets every call through. b.mu is held.
func (b *Breaker) refill() {
	b.slab.Store(&slab{b: b, window: b.window, gen: b.gen.Load(), slowAfter: int64(b.cfg.Load().SlowAfter)})
}

// Do calls fn, or returns an *[OpenError] instead. A context that has ended
// already is its error, and counts for nothing. Otherwise the error is fn's, and
// counts as Config.Classify has it. A panic of fn's or of Classify's, and
// runtime.Goexit, count as Failure, and go on.
func (b *Breaker) Do(ctx context.Context, fn func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := b.enter()
	if err != nil {
		return err
	}
	outcome := Failure
	defer func() { c.leave(outcome) }()
	err = fn(ctx)
	outcome = b.classify(ctx, err)
	return err
}

// Call is [Breaker.Do] for a function that returns a value.
func Call[T any](ctx context.Context, b *Breaker, fn func(context.Context) (T, error)) (T, error) {
	var zero T
	if err := ctx.Err(); err != nil {
		return zero, err
	}
	c, err := b.enter()
	if err != nil {
		return zero, err
	}
	outcome := Failure
	defer func() { c.leave(outcome) }()
	v, err := fn(ctx)
	outcome = b.classify(ctx, err)
	return v, err
}

// A call is a Permit that stays with who took it, and needs no memory then.
type call struct {
	b      *Breaker
	permit *Permit // while not every call is let through
	slab   *slab   // else
	start  int64
}

func (b *Breaker) enter() (c call, err error) {
	c.b = b
	if c.slab = b.slab.Load(); c.slab == nil {
		c.permit, err = b.Allow()
		return c, err
	}
	if c.slab.slowAfter > 0 {
		c.start = b.now()
	}
	return c, nil
}

func (c *call) leave(o Outcome) {
	if c.slab == nil {
		c.permit.Done(o)
		return
	}
	now := c.b.now()
	c.slab.report(now, o, c.slab.slowAfter > 0 && now-c.start >= c.slab.slowAfter)
}

// classify is what err says, with which a call ended that was made with ctx.
func (b *Breaker) classify(ctx context.Context, err error) Outcome {
	switch {
	case err == nil:
		return Success
	case isCanceled(ctx):
		return Ignore
	}
	if classify := b.cfg.Load().Classify; classify != nil {
		return classify(err)
	}
	// Canceled by somebody in between, unless ctx has run out of time: that cancels
	// what is made from it.
	if ctx.Err() == nil && errors.Is(err, context.Canceled) || errors.Is(err, ErrOpen) {
		return Ignore
	}
	return Failure
}

// report counts how a call ended that was let through while every call was.
func (s *slab) report(now int64, o Outcome, isSlow bool) {
	if o == Success && !isSlow && s.window.streak.Load() == 0 && s.window.success(now) {
		return
	}
	s.reportMore(now, o, isSlow)
}

// reportMore is report for what may change the state, or needs a new slot.
func (s *slab) reportMore(now int64, o Outcome, isSlow bool) {
	w, ok := s.window, true
	number := w.number(now)
	if !w.count(number, o, isSlow) {
		if w, number, ok = s.b.countMore(s.gen, now, o, isSlow); !ok {
			s.b.late.Add(1)
			return
		}
	}
	w.note(o)
	if isBad(o, isSlow) && w.isOver(s.b.cfg.Load(), number) {
		s.b.trip(s.gen, now)
	}
}

// isCanceled reports whether ctx's caller has given up. A cancel whose cause is a
// deadline is none of that kind: a timer that was stopped in time for an answer's
// body not to be cut by it ends its context so.
func isCanceled(ctx context.Context) bool {
	return ctx.Err() == context.Canceled && !errors.Is(context.Cause(ctx), context.DeadlineExceeded)
}

// isBad reports whether an outcome is one to open for.
func isBad(o Outcome, isSlow bool) bool { return o == Failure || o == Success && isSlow }

// countMore counts an outcome in the window of today, in a new slot if need be;
// false if gen is over.
func (b *Breaker) countMore(gen uint64, now int64, o Outcome, isSlow bool) (*window, uint32, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if gen != b.gen.Load() {
		return nil, 0, false
	}
	number := b.slot(now)
	b.window.count(number, o, isSlow)
	return b.window, number, true
}

// slot returns the window's slot for the time now, and sees to it that it is
// there. b.mu is held.
func (b *Breaker) slot(now int64) uint32 {
	w := b.window
	number := w.number(now)
	if isBefore(number, b.newest) {
		if b.newest-number < slots {
			b.folded.add(w.open(number)) // a report that comes late, of a slot without any other
			return number
		}
		b.folded.add(w.clear()) // the clock went back
	}
	b.newest = number
	b.folded.add(w.open(number))
	return number
}
