package health

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path"
	"runtime"
	"strings"
	"time"
)

// check is a Check at work.
type check struct {
	Check
	startup bool

	// Guarded by Health.mu.
	running bool
	result
}

// result is what is known about a check. Snapshots hold copies.
type result struct {
	name           string
	startup        bool
	err            error // why the check does not pass; nil if it does
	runs, failures uint64
	ended, took    time.Duration // of the last run; ended is since the epoch
	expires        time.Duration // since the epoch; a pass is stale after it
	hung           bool
}

func newCheck(c Check, startup bool) *check {
	return &check{
		Check:   c,
		startup: startup,
		result:  result{name: c.Name, startup: startup, err: fmt.Errorf("check %s: no result yet", c.Name)},
	}
}

// fresh is how long after the end of a run the next one's result is awaited.
func (c *check) fresh() time.Duration { return c.Interval + c.Timeout + slack }

// watch runs a check until it needs no more, or Close.
func (h *Health) watch(c *check) {
	defer h.leave(nil)
	for {
		passed := h.run(c)
		if passed && c.startup {
			return
		}
		select {
		case <-time.After(c.Interval):
		case <-h.ctx.Done():
			return
		}
	}
}

// run runs a check once, publishes the outcome, and returns when Func has
// returned, or at once on Close.
func (h *Health) run(c *check) (passed bool) {
	h.enter(c)
	ctx, cancel := context.WithTimeout(h.ctx, c.Timeout)
	defer cancel()
	began := h.now()
	outcome := make(chan error, 1)
	go func() {
		defer h.leave(c)
		c.call(ctx, outcome)
	}()

	select {
	case err := <-outcome:
		h.record(c, began, err)
		return err == nil
	case <-ctx.Done():
		h.record(c, began, c.late(ctx.Err()))
	}
	select {
	case err := <-outcome:
		h.amend(c, err, false)
		return false
	case <-h.ctx.Done():
		return false
	case <-time.After(slack):
		h.amend(c, fmt.Errorf("check %s: hangs, does not heed its context: no answer within %v: %w", c.Name, c.Timeout, ctx.Err()), true)
	}
	select {
	case err := <-outcome:
		h.amend(c, err, false)
	case <-h.ctx.Done():
	}
	return false
}

// call calls Func and sends the one outcome, whichever way Func ends. The error
// is worded here: an Error method of the caller's that panics is fmt's to
// recover, and one that dawdles keeps nobody else waiting.
func (c *check) call(ctx context.Context, outcome chan<- error) {
	err := errors.New("ended its goroutine by runtime.Goexit")
	defer func() {
		if v := recover(); v != nil {
			err = panicked(v)
		}
		switch {
		case err == nil:
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			err = c.late(err)
		default:
			err = fmt.Errorf("check %s: %w", c.Name, err)
		}
		outcome <- err
	}()
	err = c.Func(ctx)
}

func (c *check) late(err error) error {
	return fmt.Errorf("check %s: no answer within %v: %w", c.Name, c.Timeout, err)
}

// panicked tells what was panicked with, and where. It is called by the
// deferred function that recovered, while the panic is still on the stack.
func panicked(v any) error {
	verb := "%v"
	if _, ok := v.(error); ok {
		verb = "%w"
	}
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(0, pcs)])
	for seen := false; ; {
		f, more := frames.Next()
		if seen && !strings.HasPrefix(f.Function, "runtime.") {
			return fmt.Errorf("panicked: "+verb+" (%s, %s:%d)", v, f.Function, path.Base(f.File), f.Line)
		}
		seen = seen || f.Function == "runtime.gopanic"
		if !more {
			return fmt.Errorf("panicked: "+verb, v)
		}
	}
}

// record publishes the outcome of a run. What comes after Close says nothing
// about the check, whose context was cancelled, and is dropped.
func (h *Health) record(c *check, began time.Duration, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	c.err = err
	c.ended = h.now()
	c.took = c.ended - began
	c.expires = c.ended + c.fresh()
	if c.startup {
		c.expires = math.MaxInt64 // passing once is passing for good
	}
	c.runs++
	if err != nil {
		c.failures++
	}
	h.publish()
}

// amend publishes what became known about a run after its timeout was recorded:
// it hangs, or it returned late, which is a failure even if err is nil. As with
// record, what comes after Close is dropped.
func (h *Health) amend(c *check, err error, hung bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	if err != nil {
		c.err = err
	} else {
		c.err = c.late(context.DeadlineExceeded)
	}
	c.hung = hung
	h.publish()
}
