package batching

import (
	"context"
	"sync"
	"time"
)

// runContext is the context of one run. It is part of its batch, and makes a
// standard context, which costs allocations and maybe a timer, only when
// somebody asks for more than Err and Deadline.
type runContext struct {
	batcher  any       // the key that marks contexts as this batcher's
	deadline time.Time // zero: none

	mu       sync.Mutex
	ended    error // without standard
	standard context.Context
	cancel   context.CancelFunc
}

func (c *runContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

func (c *runContext) Done() <-chan struct{} { return c.become().Done() }

func (c *runContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.standard != nil {
		return c.standard.Err()
	}
	return c.ended
}

// Value knows whose the context is. The rest, among it what package context
// asks for to attach contexts made from this one, is the standard context's.
func (c *runContext) Value(key any) any {
	if key == c.batcher {
		return true
	}
	return c.become().Value(key)
}

func (c *runContext) become() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.standard == nil {
		if c.deadline.IsZero() || c.ended == context.Canceled { // the deadline may have passed since
			c.standard, c.cancel = context.WithCancel(context.Background())
		} else {
			c.standard, c.cancel = context.WithDeadlineCause(context.Background(), c.deadline, ErrBatchTimeout)
		}
		if c.ended != nil {
			c.cancel() // without effect if the deadline has passed
		}
	}
	return c.standard
}

// end cancels the context.
func (c *runContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.standard != nil {
		c.cancel()
	} else if c.ended == nil {
		c.ended = context.Canceled
	}
}

// expire is what happens at the deadline; a standard context sees to that
// itself.
func (c *runContext) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil {
		c.ended = context.DeadlineExceeded
	}
}
