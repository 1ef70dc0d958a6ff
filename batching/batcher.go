package batching

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Batcher gathers items from concurrent calls of Do into batches. Make one
// with [New], and Close it. All methods are safe for concurrent use.
type Batcher[In, Out any] struct {
	run    func(ctx context.Context, in []In, out []Slot[Out]) error
	cfg    Config[In]
	full   int       // items that make a batch worth no more waiting
	claims bool      // some of Priority, Tenant, Group, Cost and OnBatch is set
	epoch  time.Time // New; times are nanoseconds since
	pool   sync.Pool // of *waiter[In, Out]
	done   chan struct{}

	rejectedFull, rejectedClosed, shed atomic.Uint64

	// What each Do writes, apart from what it only reads.
	//
	// The office of collector is held by at most one instance: it forms the next
	// batch. It is vacant only while nothing is known to wait; whoever makes it
	// taken holds it, or hands it on through calls.
	_      [64]byte
	places atomic.Int64 // items accepted and not yet out of the queue, times two, plus one if closed
	inbox  inbox[In, Out]
	poke   atomic.Int64 // the number of places from which a lingering collector wants to be woken, or 0
	office atomic.Uint32
	_      [36]byte

	calls chan struct{} // capacity 1: the office, on its way to an instance
	pokes chan struct{} // capacity 1: wakes a lingering collector

	post  post[Out]
	speed speed
	ahead []load // what waits, by level; kept only for TargetLatency

	instances []*instance

	mu         sync.Mutex
	schedule   schedule[In, Out]
	ledger     ledger
	lingerings lingerings
	aborted    bool
	goroutines int               // that have not ended
	memory     [][]In            // by instance: the last batch's, to be used again
	batches    []*batch[In, Out] // inside run, those that hang included
	vacant     []*instance       // those whose run hangs and was not replaced
	settling   []settling[Out]   // runs that are over, but not yet counted in ledger
}

// The states of Batcher.office.
const (
	officeTaken uint32 = iota
	officeVacant
)

// closedBit is set in Batcher.places by Close and Abort.
const closedBit = 1

// New starts a Batcher that answers items by calling run, on cfg.Instances
// goroutines and one more that live until Close or Abort. It reports everything that is
// wrong with its arguments at once.
//
// run gets 1 to cfg.MaxBatchSize items and as many slots; it answers in[i]
// through out[i] and may do so from several goroutines. Items it leaves
// unanswered fail with the error that it returns, or [ErrNoResult] if that is
// nil; if it panics, with a *[PanicError]. Either way the next batch runs as if
// nothing had happened. runtime.Goexit fails them with ErrNoResult and costs a
// new goroutine.
//
// ctx is the batch's and no caller's: it has none of their values, and no
// deadline but BatchTimeout's. It ends when the last caller without an answer
// leaves, so that nobody's work can be dropped, and when run returns.
//
// in is run's only until it returns: then the slice is cleared and used again.
// Whoever wants to keep it must copy it. in[i] is run's until out[i] is
// answered: from then on the memory that it points to may be in other use. out
// may be kept; its slots ignore what comes too late.
func New[In, Out any](run func(ctx context.Context, in []In, out []Slot[Out]) error, cfg Config[In]) (*Batcher[In, Out], error) {
	err := cfg.validate()
	if run == nil {
		err = errors.Join(errors.New("batching: run is nil"), err)
	}
	if err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	b := &Batcher[In, Out]{
		run:        run,
		cfg:        cfg,
		full:       min(cfg.MaxBatchSize, cfg.MaxQueue),
		claims:     cfg.Priority != nil || cfg.Tenant != nil || cfg.Group != nil || cfg.Cost != nil || cfg.OnBatch != nil,
		epoch:      time.Now(),
		done:       make(chan struct{}),
		calls:      make(chan struct{}, 1),
		pokes:      make(chan struct{}, 1),
		ahead:      make([]load, cfg.Priorities),
		goroutines: cfg.Instances,
	}
	b.office.Store(officeVacant)
	b.pool.New = func() any { return &waiter[In, Out]{reply: reply[Out]{ready: make(chan struct{}, 1)}} }
	overdue := int64(defaultPatience)
	if cfg.TargetLatency > 0 {
		overdue = int64(cfg.TargetLatency / 2)
	}
	b.schedule = newSchedule[In, Out](cfg, overdue)
	b.ledger.init(cfg.MaxBatchSize)
	b.memory = make([][]In, cfg.Instances)
	for i := range cfg.Instances {
		b.instances = append(b.instances, b.newInstance(i))
	}
	b.post.wake, b.post.stop = make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(b.done)
		b.post.serve()
	}()
	for _, inst := range b.instances {
		go b.serve(inst)
	}
	return b, nil
}

// now is one monotonic clock read: half of time.Now.
func (b *Batcher[In, Out]) now() int64 { return int64(time.Since(b.epoch)) }

// Do hands in to a batch and waits for its answer. It fails with
//
//   - the item's own error, run's error, [ErrNoResult] or a *[PanicError];
//   - [ErrBatchTimeout] when run takes longer than BatchTimeout;
//   - [ErrQueueFull], [ErrClosed], a *[ShedError] or [ErrTooLarge], mostly
//     without waiting; the item is then never computed;
//   - ctx.Err(), as it is, as soon as ctx ends. An item that was still queued
//     is then never computed. If ctx had ended already, nothing is queued;
//   - [ErrReentrant], without waiting, if ctx is that of this batcher's run.
//
// When an answer and the end of ctx coincide, the call has one of the two
// outcomes. After ctx.Err() or ErrBatchTimeout run may still be reading in:
// leave the memory that it points to alone then.
func (b *Batcher[In, Out]) Do(ctx context.Context, in In) (Out, error) {
	var none Out
	if err := b.enter(ctx); err != nil {
		return none, err
	}
	w, err := b.claim(ctx, in)
	if err != nil {
		return none, err
	}
	done := ctx.Done() // foreign code, as all before: w is still nobody else's
	if err := b.accept(w, 1, w.units); err != nil {
		b.recycle(w)
		return none, err
	}
	b.submit(w, w)
	select {
	case <-w.ready:
	case <-done:
		if b.leave(w) {
			b.recycle(w)
			return none, ctx.Err()
		}
		<-w.ready
	}
	out, err := w.answer, w.err
	b.recycle(w)
	return out, err
}

// enter says why a call with ctx is over before it began, or nil.
func (b *Batcher[In, Out]) enter(ctx context.Context) error {
	if b.marked(ctx) {
		return ErrReentrant
	}
	return ctx.Err()
}

// marked reports whether ctx comes from this batcher's run.
func (b *Batcher[In, Out]) marked(ctx context.Context) bool { return ctx.Value(b) != nil }

// recycle keeps the waiter of a call that has its outcome, and nothing else
// of that call.
func (b *Batcher[In, Out]) recycle(w *waiter[In, Out]) {
	var in In
	var out Out
	w.in, w.slot = in, nil
	w.many, w.answer, w.err = nil, out, nil
	if b.claims {
		w.rest = rest[In, Out]{}
	}
	b.pool.Put(w)
}

// leave takes w's caller out and reports true, or reports false because an
// answer was first: then the signal has been given, or will be in a moment.
func (b *Batcher[In, Out]) leave(w *waiter[In, Out]) bool {
	b.mu.Lock()
	b.drain()
	if w.queued {
		b.ledger.cancelledQueued++
		b.unqueue(w)
		b.mu.Unlock()
		return true
	}
	slot := w.slot
	b.mu.Unlock()
	return slot != nil && slot.leave()
}

// Close refuses new work and waits until everything accepted has its outcome
// and the batcher's goroutines have ended; then it returns nil. If ctx ends
// first, Close returns an error that wraps ctx.Err() and says which runs have
// not returned, since when, and how many items still wait. These are then
// worked off all the same, unless Abort is called.
//
// Close may be called again, and at the same time: each call waits. From
// inside run, with its context, it refuses new work and returns ErrReentrant.
func (b *Batcher[In, Out]) Close(ctx context.Context) error {
	b.mu.Lock()
	b.shut()
	b.mu.Unlock()
	if b.marked(ctx) {
		return ErrReentrant
	}
	select {
	case <-b.done:
		return nil
	default:
	}
	select {
	case <-b.done:
		return nil
	case <-ctx.Done():
	}
	err := ctx.Err() // foreign code
	b.mu.Lock()
	defer b.mu.Unlock()
	var text strings.Builder
	text.WriteString("batching: close")
	if b.cfg.Name != "" {
		fmt.Fprintf(&text, " %q", b.cfg.Name)
	}
	fmt.Fprintf(&text, ": %d runs have not returned", len(b.batches))
	now := b.now()
	slices.SortFunc(b.batches, func(x, y *batch[In, Out]) int {
		return cmp.Or(cmp.Compare(x.inst.id, y.inst.id), cmp.Compare(x.start, y.start))
	})
	for i, work := range b.batches {
		sep := ", "
		if i == 0 {
			sep = " ("
		}
		fmt.Fprintf(&text, "%sinstance %d with %d items for %v", sep, work.inst.id, len(work.in),
			time.Duration(now-work.start).Round(time.Microsecond))
	}
	if len(b.batches) > 0 {
		text.WriteString(")")
	}
	return fmt.Errorf("%s, %d items wait: %w", &text, b.places.Load()>>1, err)
}

// Abort refuses new work and answers what waits in the queue with [ErrClosed].
// It does not wait: runs go on, with their callers, and Close waits for them.
func (b *Batcher[In, Out]) Abort() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.aborted = true
	b.shut()
	b.drain()
	for b.schedule.n > 0 {
		w := b.schedule.best(b.schedule.groups[0])
		b.ledger.aborted++
		b.expel(w, ErrClosed)
	}
}

// shut refuses new work and wakes whoever must know. b.mu is held.
func (b *Batcher[In, Out]) shut() {
	b.places.Or(closedBit)
	b.wake()
	b.prod()
}

// unqueue takes w out of the schedule and gives its place away. b.mu is held.
func (b *Batcher[In, Out]) unqueue(w *waiter[In, Out]) {
	b.schedule.remove(w)
	b.unload(w)
	b.vacate(1)
}

// unload takes w off what estimates count as ahead of others.
func (b *Batcher[In, Out]) unload(w *waiter[In, Out]) {
	if b.cfg.TargetLatency > 0 {
		b.ahead[w.level].add(-1, -w.units)
	}
}

// vacate gives n places in the queue away. b.mu is held.
func (b *Batcher[In, Out]) vacate(n int) {
	if b.places.Add(-2*int64(n)) == closedBit {
		b.wake() // instances end when nothing waits
	}
}

// expel answers w, which is queued, with err. b.mu is held.
func (b *Batcher[In, Out]) expel(w *waiter[In, Out], err error) {
	b.unqueue(w)
	w.err = err
	w.signal()
}
