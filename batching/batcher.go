package batching

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A Batcher gathers items from concurrent calls of Do into batches. Make one
// with [New], and Close it. All methods are safe for concurrent use.
type Batcher[In, Out any] struct {
	run  func(ctx context.Context, in []In, out []Slot[Out]) error
	cfg  Config[In]
	full int // items that make a batch worth no more waiting

	base context.Context // parent of every run's context; marks them as this batcher's
	pool sync.Pool       // of *waiter[In, Out]
	done chan struct{}   // closed when the last instance has ended

	outcomes outcomes

	mu        sync.Mutex
	ledger    ledger
	queue     queue[In, Out]
	closed    bool
	alive     int         // instances that have not ended
	busy      int         // instances inside run
	idle      []*instance // parked; see instance
	collector *instance   // forms the next batch; nil implies: queue empty or nobody idle
	lingering bool        // the collector sleeps until the batch is full or old enough
}

// New starts a Batcher that answers items by calling run, on cfg.Instances
// goroutines that live until Close or Abort. It reports everything that is
// wrong with its arguments at once.
//
// run gets 1 to cfg.MaxBatchSize items, oldest first, and as many slots; it
// answers in[i] through out[i] and may do so from several goroutines. Items it
// leaves unanswered fail with the error that it returns, or [ErrNoResult] if
// that is nil; if it panics, with a *[PanicError]. Either way the next batch
// runs as if nothing had happened. runtime.Goexit fails them with ErrNoResult
// and costs a new goroutine.
//
// ctx is the batch's and no caller's: it has no deadline and none of their
// values. It ends when every caller without an answer has left, so that
// nobody's work can be dropped, and when run returns. run must return for its
// instance to be free again; there is no timeout.
//
// in and out are run's until it returns, and in[i] until out[i] is answered:
// from then on the memory that in[i] points to may be in other use.
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
		run:   run,
		cfg:   cfg,
		full:  min(cfg.MaxBatchSize, cfg.MaxQueue),
		done:  make(chan struct{}),
		alive: cfg.Instances,
		idle:  make([]*instance, 0, cfg.Instances),
	}
	b.base = context.WithValue(context.Background(), b, true)
	b.pool.New = func() any { return &waiter[In, Out]{ready: make(chan struct{}, 1)} }
	for range cfg.Instances {
		go b.serve(newInstance(cfg.Linger > 0))
	}
	return b, nil
}

// Do hands in to a batch and waits for its answer. It fails with
//
//   - the item's own error, run's error, [ErrNoResult] or a *[PanicError];
//   - [ErrQueueFull] or [ErrClosed], without waiting;
//   - ctx.Err(), as it is, as soon as ctx ends. An item that was still queued
//     is then never computed. If ctx had ended already, nothing is queued;
//   - [ErrReentrant], without waiting, if ctx is that of this batcher's run.
//
// When an answer and the end of ctx coincide, the call has one of the two
// outcomes. After ctx.Err() run may still be reading in: leave the memory that
// it points to alone then.
func (b *Batcher[In, Out]) Do(ctx context.Context, in In) (Out, error) {
	var none Out
	if b.marked(ctx) {
		return none, ErrReentrant
	}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	w := b.pool.Get().(*waiter[In, Out])
	defer b.recycle(w)
	w.in = in
	done := ctx.Done() // foreign code: called while w is still nobody else's
	if err := b.enqueue(w); err != nil {
		return none, err
	}
	select {
	case <-w.ready:
	case <-done:
		if b.leave(w) {
			return none, ctx.Err()
		}
		<-w.ready
	}
	if w.slot == nil {
		return none, ErrClosed // taken out of the queue by Abort
	}
	out, err := w.slot.take()
	if err != nil {
		b.outcomes.failed.Add(1)
		return none, err
	}
	b.outcomes.answered.Add(1)
	return out, nil
}

// marked reports whether ctx comes from this batcher's run.
func (b *Batcher[In, Out]) marked(ctx context.Context) bool { return ctx.Value(b) != nil }

// enqueue accepts w, or says why not.
func (b *Batcher[In, Out]) enqueue(w *waiter[In, Out]) error {
	if b.cfg.Linger > 0 {
		w.since = time.Now()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		b.ledger.rejectedClosed++
		return ErrClosed
	case b.queue.n >= b.cfg.MaxQueue:
		b.ledger.rejectedFull++
		return ErrQueueFull
	}
	b.ledger.submitted++
	b.queue.push(w)
	if b.collector == nil {
		b.appoint()
	} else if b.lingering && b.queue.n == b.full {
		b.collector.poke()
	}
	return nil
}

// leave takes w's caller out and reports true, or reports false because an
// answer was first: then w.ready has it, or will in a moment.
func (b *Batcher[In, Out]) leave(w *waiter[In, Out]) bool {
	b.mu.Lock()
	if w.queued {
		b.queue.remove(w)
		b.ledger.cancelledQueued++
		b.mu.Unlock()
		return true
	}
	slot := w.slot
	b.mu.Unlock()
	if slot == nil || !slot.leave() {
		return false
	}
	b.outcomes.cancelled.Add(1)
	return true
}

// recycle keeps the waiter of a call that has its outcome, and nothing else
// of that call.
func (b *Batcher[In, Out]) recycle(w *waiter[In, Out]) {
	var none In
	w.in, w.slot = none, nil
	b.pool.Put(w)
}

// Close refuses new work and waits until everything accepted has its outcome
// and the batcher's goroutines have ended; then it returns nil. If ctx ends
// first, Close returns an error that wraps ctx.Err() and says how many runs
// have not returned and how many items still wait. These are then worked off
// all the same, unless Abort is called.
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
	b.mu.Lock()
	defer b.mu.Unlock()
	name := ""
	if b.cfg.Name != "" {
		name = fmt.Sprintf(" %q", b.cfg.Name)
	}
	return fmt.Errorf("batching: close%s: %d runs have not returned, %d items wait: %w",
		name, b.busy, b.queue.n, ctx.Err())
}

// Abort refuses new work and answers what waits in the queue with [ErrClosed].
// It does not wait: runs go on, with their callers, and Close waits for them.
func (b *Batcher[In, Out]) Abort() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.queue.n > 0 {
		w := b.queue.pop()
		b.ledger.aborted++
		w.ready <- struct{}{} // has room; a nil slot says the rest
	}
	b.shut()
}

// shut refuses new work and wakes whoever must know. b.mu is held.
func (b *Batcher[In, Out]) shut() {
	b.closed = true
	if b.collector == nil {
		b.appoint()
	} else if b.lingering {
		b.collector.poke()
	}
}
