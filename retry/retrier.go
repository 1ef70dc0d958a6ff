package retry

import (
	"context"
	"time"
)

// A Retrier makes calls, and makes them again when they fail and it may help.
// It is safe for concurrent use. It holds nothing of a call once it has
// returned, and starts no goroutines.
type Retrier struct {
	// What every call reads, and nothing writes.
	budget      *Budget
	perAttempt  time.Duration
	name        string
	maxAttempts int
	maxDelay    time.Duration
	backoff     func() Backoff
	retryable   func(error) bool

	counters *counters // apart: a failing call must not take the line above from the others
}

// New returns a Retrier, or all that is wrong with cfg.
func New(cfg Config) (*Retrier, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	r := &Retrier{
		budget:      cfg.Budget,
		perAttempt:  cfg.PerAttempt,
		name:        cfg.Name,
		maxAttempts: cfg.MaxAttempts,
		maxDelay:    cfg.MaxDelay,
		backoff:     cfg.Backoff,
		retryable:   cfg.Retryable,
		counters:    new(counters),
	}
	if r.maxAttempts == 0 {
		r.maxAttempts = defaultAttempts
	}
	if r.maxDelay == 0 {
		r.maxDelay = defaultMaxDelay
	}
	if r.backoff == nil {
		r.backoff = FullJitter(defaultBase, defaultMost)
	}
	if r.budget == nil {
		budget, err := NewBudget(BudgetConfig{})
		if err != nil {
			return nil, err
		}
		r.budget = budget
	}
	return r, nil
}

// Name is Config.Name.
func (r *Retrier) Name() string { return r.name }

// Budget is Config.Budget, or the one that the Retrier made for itself.
func (r *Retrier) Budget() *Budget { return r.budget }

// Do calls fn until it succeeds, and returns nil then. Between two attempts it
// waits as the schedule and the error want it, and gives up as soon as another
// attempt makes no sense:
//
//   - ctx has ended: fn is not called at all if that is so at the beginning,
//     and the error is ctx's, joined with its cause;
//   - ctx's deadline comes before the next attempt: Do returns at once rather
//     than wait for it;
//   - the error is not retryable: it is returned as it is;
//   - attempts, schedule or budget are used up, or the call is itself part of a
//     retry: the error is an *[Error].
//
// The first attempt gets ctx itself, unless Config.PerAttempt is set; the
// contexts of others tell [Attempt] which they are. A panic of fn, or a
// runtime.Goexit, goes through, and the call is over.
func (r *Retrier) Do(ctx context.Context, fn func(context.Context) error) error {
	if !r.plain() || ctx.Err() != nil {
		return r.slowly(ctx, fn)
	}
	err := fn(ctx)
	if err == nil {
		return nil
	}
	return r.again(ctx, fn, err)
}

// Call is [Retrier.Do] for functions that return a value. It returns what the
// last attempt returned, with an error or without; the zero T if there was none.
func Call[T any](ctx context.Context, r *Retrier, fn func(context.Context) (T, error)) (T, error) {
	if !r.plain() || ctx.Err() != nil {
		return callSlowly(ctx, r, fn)
	}
	v, err := fn(ctx)
	if err == nil {
		return v, nil
	}
	return callAgain(ctx, r, fn, v, err)
}

// plain says that a first attempt takes no more than to call fn: it has no time
// of its own, and the call's deposit would not fit into the budget.
func (r *Retrier) plain() bool { return r.perAttempt == 0 && r.budget.isFull() }

// slowly is Do for calls that are not plain, or over before they begin.
func (r *Retrier) slowly(ctx context.Context, fn func(context.Context) error) error {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	if Attempt(ctx) == 1 { // else retries would pay for retries
		r.budget.deposit()
	}
	c := call{r: r, ctx: ctx}
	if err := c.attempt(fn); err != nil {
		return c.retry(fn, err)
	}
	return nil
}

// again is what is left of Do after a first attempt that returned err. It is
// kept out of Do, where a call would need room for what only a failure needs.
//
//go:noinline
func (r *Retrier) again(ctx context.Context, fn func(context.Context) error, err error) error {
	c := call{r: r, ctx: ctx}
	return c.retry(fn, err)
}

func callSlowly[T any](ctx context.Context, r *Retrier, fn func(context.Context) (T, error)) (v T, err error) {
	err = r.slowly(ctx, func(ctx context.Context) (err error) {
		v, err = fn(ctx)
		return err
	})
	return v, err
}

func callAgain[T any](ctx context.Context, r *Retrier, fn func(context.Context) (T, error), v T, err error) (T, error) {
	err = r.again(ctx, func(ctx context.Context) (err error) {
		v, err = fn(ctx)
		return err
	}, err)
	return v, err
}
