package retry

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/ballast-go/ballast/internal/rethrow"
	"github.com/ballast-go/ballast/internal/retrypaid"
)

// Hedge calls fn, and if that takes longer than such calls usually do, calls it
// again without giving up the first: whichever succeeds first is the answer. The
// others' contexts are canceled. It is for calls that may be made twice, and
// cuts off the latency that comes from one slow replica or a collection of
// garbage ("The Tail at Scale", Dean and Barroso, 2013); it does not help where
// everything is slow, and the budget then stops it.
//
// fn and discard must be safe for concurrent use. The contexts that fn gets end
// when Hedge returns, or before: T must not depend on them, as the body of an
// *http.Response does (for these there is [TransportConfig].Hedger). [Attempt]
// says 2 and more in those of hedges. discard, which may be nil, gets what
// losers return without an error, in their own goroutines.
//
// Errors: with an error T is zero. If the first call fails before there is a
// hedge, its error is returned at once, for a hedge is no retry. If it fails
// later, the others are waited for, but no more are started, and if all fail the
// error joins theirs. When ctx ends, Hedge does not wait for fn: the error is
// ctx's and its cause, and if some have failed an *[Error] with theirs. If ctx
// has ended already, fn is not called. If ctx says that it is part of a retry
// (Attempt above 1), there are no hedges.
//
// fn runs in goroutines of the [Hedger]'s. A panic there goes on in the caller's
// goroutine with the same value (if nobody recovers it, the program's last words
// have its stack too), and so does a runtime.Goexit. If there is an answer
// already, nobody hears of it: panics are counted then. Where there cannot be a
// hedge (too little is known yet, it is a retry, or the Hedger is closed) fn runs
// in the caller's goroutine, and is waited for whatever becomes of ctx.
//
// Delays come from the latency of first calls that succeed. One that a hedge
// overtakes, or the end of ctx, counts with the time until then if that is
// longer than the delay, as it is known to be among the slow ones. To leave
// these out would lower the quantile a little with each of them, until
// everything is hedged.
func Hedge[T any](ctx context.Context, h *Hedger, fn func(context.Context) (T, error), discard func(T)) (T, error) {
	v, release, err := hedge(ctx, h, fn, discard)
	release()
	return v, err
}

// hedge is Hedge for a T that depends on its context: the winner's lives until
// release is called, which is never nil.
func hedge[T any](ctx context.Context, h *Hedger, fn func(context.Context) (T, error), discard func(T)) (v T, release context.CancelFunc, err error) {
	if ctx.Err() != nil {
		return v, func() {}, ended(ctx)
	}
	h.calls.Add(1)
	nested := Attempt(ctx) > 1
	if !nested && !retrypaid.Has(ctx, h.budget) {
		h.budget.deposit()
	}
	delay := h.delay()
	if delay == 0 || nested || !h.enter() {
		return alone(ctx, h, fn)
	}
	r := race[T]{
		h: h, ctx: ctx, fn: fn, discard: discard, delay: delay,
		finished: make(chan result[T], 1+h.cfg.MaxHedges), // nobody ever blocks on it
		begun:    time.Now(),
	}
	return r.run()
}

// alone makes one call, in the caller's goroutine. Its context ends with it all
// the same: what depends on it must not begin to fail with the first hedge.
func alone[T any](ctx context.Context, h *Hedger, fn func(context.Context) (T, error)) (T, context.CancelFunc, error) {
	ctx, cancel := context.WithCancel(ctx)
	won := false
	defer func() {
		if !won {
			cancel()
		}
	}()
	begun := time.Now()
	v, err := fn(ctx)
	if err != nil {
		var zero T
		return zero, cancel, err
	}
	h.latency.observe(time.Since(begun))
	won = true
	return v, cancel, nil
}

// A race is one call of Hedge.
type race[T any] struct {
	h       *Hedger
	ctx     context.Context
	fn      func(context.Context) (T, error)
	discard func(T)
	delay   time.Duration
	begun   time.Time
	cancels []context.CancelFunc // by attempt; the caller's alone

	finished chan result[T]

	mu        sync.Mutex
	over      bool // it is clear what the caller gets: who comes now has lost
	running   int
	firstDone bool
}

// A result is how an attempt went.
type result[T any] struct {
	attempt  int // from 0
	v        T
	err      error
	exited   bool // it panicked or called Goexit
	panicked any
	stack    string
}

// final says that nobody needs to be waited for any more.
func (r *result[T]) final() bool { return r.err == nil || r.exited }

// run starts the first attempt, for which its caller has called enter, and all
// others.
func (r *race[T]) run() (v T, release context.CancelFunc, err error) {
	winner := -1
	defer func() {
		for i, cancel := range r.cancels {
			if i != winner {
				cancel()
			}
		}
	}()
	r.mu.Lock()
	r.start()
	r.mu.Unlock()
	won, err := r.wait()
	if err != nil {
		return v, func() {}, err
	}
	if won.exited {
		rethrow.Panic(won.panicked, "retry: a hedged call panicked, see below; it was made in this goroutine:", won.stack)
	}
	if winner = won.attempt; winner > 0 {
		r.h.wins.Add(1)
	}
	return won.v, r.cancels[winner], nil
}

// wait starts hedges, and returns the first result that is final, or an error if
// there is none.
func (r *race[T]) wait() (result[T], error) {
	timer := time.NewTimer(r.delay)
	defer timer.Stop()
	errs := make([]error, 1+r.h.cfg.MaxHedges) // by attempt
	for failed := 0; ; {
		select {
		case res := <-r.finished:
			if res.final() {
				return res, nil
			}
			errs[res.attempt] = res.err
			if failed++; failed == len(r.cancels) {
				return res, r.failure(errs[:failed])
			}
			timer.Stop()
		case <-timer.C:
			if len(r.finished) == 0 && r.hedge() {
				timer.Reset(r.delay)
			}
		case <-r.ctx.Done():
			if r.abandon() {
				return result[T]{}, r.failure(errs)
			}
			for res := range r.finished { // the one that was faster is there
				if res.final() {
					return res, nil
				}
			}
		}
	}
}

// hedge starts another attempt if it may, and says whether there may be more.
func (r *race[T]) hedge() bool {
	if len(r.cancels) > r.h.cfg.MaxHedges || !r.h.enter() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over { // meanwhile: a result waits to be read
		r.h.leave()
		return false
	}
	if !r.h.budget.take() {
		r.h.overBudget.Add(1)
		r.h.leave()
		return false
	}
	r.h.hedges.Add(1)
	r.start()
	return true
}

// start makes an attempt in a goroutine, which enter has admitted. r.mu is held.
func (r *race[T]) start() {
	n := len(r.cancels)
	ctx := r.ctx
	if n > 0 {
		ctx = ContextWithAttempt(ctx, n+1)
	}
	ctx, cancel := context.WithCancel(ctx)
	r.cancels = append(r.cancels, cancel)
	r.running++
	go r.attempt(ctx, n)
}

// attempt calls fn, and comes to an end whatever fn does.
func (r *race[T]) attempt(ctx context.Context, n int) {
	res := result[T]{attempt: n, exited: true}
	defer r.h.leave()
	defer func() {
		if res.exited {
			if res.panicked = recover(); res.panicked != nil {
				res.stack = rethrow.Stack()
			}
		}
		if r.finish(&res) {
			defer r.h.orphans.Add(-1)
			r.lose(&res)
		}
	}()
	res.v, res.err = r.fn(ctx)
	res.exited = false
}

// finish hands res to the caller, or returns true if that comes too late.
func (r *race[T]) finish(res *result[T]) (late bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running--
	if r.over {
		return true
	}
	if res.attempt == 0 {
		r.firstDone = true
		r.learn(res.err == nil && !res.exited, r.ctx.Err() != nil)
	}
	if res.final() {
		r.end()
	}
	r.finished <- *res
	return false
}

// learn is told how the first attempt went, once.
func (r *race[T]) learn(succeeded, cut bool) {
	d := time.Since(r.begun)
	if succeeded || cut && d > r.delay {
		r.h.latency.observe(d)
	}
}

// abandon makes losers of all that still run, unless one has been faster.
func (r *race[T]) abandon() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return false
	}
	r.end()
	return true
}

// end is when it is clear what the caller gets. r.mu is held.
func (r *race[T]) end() {
	r.over = true
	r.h.orphans.Add(int64(r.running))
	if !r.firstDone {
		r.learn(false, true)
	}
}

// lose is for a result that nobody waits for.
func (r *race[T]) lose(res *result[T]) {
	defer func() {
		if recover() != nil {
			r.h.panics.Add(1)
		}
	}()
	if res.panicked != nil {
		r.h.panics.Add(1)
	}
	if r.discard != nil && res.err == nil && !res.exited {
		r.discard(res.v)
	}
}

// failure is the call's error if errs, in which nil is one that still runs, are
// its attempts'. Once the context has ended it is the context's, whether or not
// that has got around to the attempts, and those that failed before are causes.
func (r *race[T]) failure(errs []error) error {
	ctxErr := r.ctx.Err()
	if ctxErr == nil {
		if len(errs) == 1 {
			return errs[0]
		}
		return errors.Join(errs...)
	}
	causes := slices.DeleteFunc(errs, func(err error) bool { return err == nil || errors.Is(err, ctxErr) })
	if len(causes) == 0 {
		return ended(r.ctx)
	}
	return &Error{Name: r.h.cfg.Name, Attempts: len(r.cancels), Why: ended(r.ctx), Causes: causes}
}
