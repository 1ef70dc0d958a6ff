package retry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// A call is what is remembered of one whose first attempt has failed. It stays
// on the stack.
type call struct {
	r        *Retrier
	ctx      context.Context
	attempts int     // that have failed
	causes   []error // why, the last of them
	schedule Backoff // nil before it is needed
}

// retry makes attempts until one succeeds, or none makes sense any more. err is
// the first one's.
func (c *call) retry(fn func(context.Context) error, err error) error {
	for {
		if over := c.next(err); over != nil {
			return over
		}
		if err = c.attempt(fn); err == nil {
			c.r.counters.recovered.Add(1)
			return nil
		}
	}
}

// attempt makes one.
func (c *call) attempt(fn func(context.Context) error) error {
	ctx := c.ctx
	if c.attempts > 0 {
		c.r.counters.retries.Add(1)
		ctx = ContextWithAttempt(ctx, c.attempts+1)
	}
	if c.r.perAttempt == 0 {
		return fn(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.r.perAttempt, ErrAttemptTimeout)
	defer cancel()
	err := fn(ctx)
	if err != nil && context.Cause(ctx) == ErrAttemptTimeout && !errors.Is(err, ErrAttemptTimeout) {
		err = fmt.Errorf("%w: %w", ErrAttemptTimeout, err)
	}
	return err
}

// next returns nil when it is time for another attempt after err, and the call's
// error otherwise.
func (c *call) next(err error) error {
	delay, over := c.decide(err)
	if over != nil {
		return over
	}
	return c.pause(delay)
}

// decide says what follows from err, an attempt's: another attempt after a delay,
// which the budget has paid for, or the end, with the call's error.
func (c *call) decide(err error) (delay time.Duration, over error) {
	c.attempts++
	r, n := c.r, c.r.counters
	if c.ctx.Err() != nil {
		n.outOfTime.Add(1)
		why := ended(c.ctx)
		if c.attempts == 1 && errors.Is(err, why) {
			return 0, err // says all of it
		}
		return 0, c.giveUp(err, why)
	}
	if !r.worthRetrying(err) {
		n.permanent.Add(1)
		return 0, err
	}
	if Attempt(c.ctx) > 1 {
		n.nested.Add(1)
		return 0, c.giveUp(err, ErrNested)
	}
	delay, more := c.delay(err)
	if !more {
		n.exhausted.Add(1)
		return 0, c.giveUp(err, ErrExhausted)
	}
	if deadline, ok := c.ctx.Deadline(); ok && time.Until(deadline) <= delay {
		n.outOfTime.Add(1)
		return 0, c.giveUp(err, context.DeadlineExceeded)
	}
	if !r.budget.take() {
		n.overBudget.Add(1)
		return 0, c.giveUp(err, ErrBudget)
	}
	c.note(err)
	return delay, nil
}

// pause waits before an attempt that was decided on.
func (c *call) pause(delay time.Duration) error {
	if wait(c.ctx, delay) {
		return nil
	}
	c.r.counters.outOfTime.Add(1)
	return c.failed(ended(c.ctx))
}

// delay is how long to wait before the next attempt, if there is to be one.
func (c *call) delay(err error) (d time.Duration, more bool) {
	if c.attempts >= c.r.maxAttempts {
		return 0, false
	}
	if c.schedule == nil {
		if c.schedule = c.r.backoff(); c.schedule == nil {
			return 0, false
		}
		c.schedule.Reset() // a cenkalti/backoff/v4 literal does not work without
	}
	if d = c.schedule.NextBackOff(); d < 0 {
		return 0, false
	}
	return max(d, min(retryDelay(err), c.r.maxDelay)), true
}

// note keeps err as a cause, in place of the oldest if there are many.
func (c *call) note(err error) {
	if len(c.causes) == maxCauses {
		copy(c.causes, c.causes[1:])
		c.causes[maxCauses-1] = err
		return
	}
	c.causes = append(c.causes, err)
}

func (c *call) giveUp(err, why error) error {
	c.note(err)
	return c.failed(why)
}

func (c *call) failed(why error) error {
	return &Error{Name: c.r.name, Attempts: c.attempts, Why: why, Causes: c.causes}
}

// wait returns after d, or false if ctx has ended by then.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// ended is the error of ctx, which has ended: one that is ctx.Err(), and
// context.Cause(ctx) too.
func ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == nil || errors.Is(cause, err) {
		return cmp.Or(cause, err)
	}
	return fmt.Errorf("%w: %w", err, cause)
}
