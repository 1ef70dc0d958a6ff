package health

import (
	"context"
	"errors"
	"fmt"
	"path"
	"runtime"
	"strings"
	"time"
)

// check is a Check at work.
type check struct {
	Check

	// Guarded by Health.mu.
	running bool
	streak  int   // how many results in a row were as the last one
	fell    error // the last result that was a failure
	result
}

// result is what is known about a check. Snapshots hold copies.
type result struct {
	name           string
	kind           Kind
	err            error // why the check does not pass; nil if it does
	last           error // what the last run said; err follows by Rise and Fall
	runs, failures uint64
	ended, took    time.Duration // of the last run; ended is since the epoch
	expires        time.Duration // since the epoch; a pass is stale after it
	hung           bool
}

func newCheck(c Check, kind Kind) *check {
	one := &check{Check: c, result: result{name: c.Name, kind: kind}}
	if kind != KindLiveness { // which is good until it has failed
		one.err = fmt.Errorf("check %s: no result yet", c.Name)
		one.last, one.fell = one.err, one.err
	}
	return one
}

// fresh is how long after the end of a run the next one's result is awaited.
func (c *check) fresh() time.Duration { return c.Interval + c.Timeout + slack }

// watch runs a check until it needs no more, or Close.
func (h *Health) watch(c *check) {
	defer h.leave(nil)
	if c.kind == KindLiveness && !h.waitStarted() {
		return
	}
	for {
		passed := h.run(c)
		if passed && c.kind == KindStartup {
			return
		}
		select {
		case <-time.After(c.Interval):
		case <-h.ctx.Done():
			return
		}
	}
}

// waitStarted waits until startup has passed; false means that Close came first.
func (h *Health) waitStarted() bool {
	for {
		s := h.current.Load()
		if s.started == nil {
			return true
		}
		select {
		case <-s.superseded:
		case <-h.ctx.Done():
			return false
		}
	}
}

// run runs a check once, publishes the outcome, and returns when Func has
// returned, or at once on Close. It reports whether the check passes now.
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
		return h.record(c, began, err)
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
	for {
		select {
		case err := <-outcome:
			h.amend(c, err, false)
			return false
		case <-h.ctx.Done():
			return false
		case <-time.After(c.Interval):
			h.persist(c)
		}
	}
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

// record publishes the outcome of a run, and reports whether the check passes
// now. What comes after Close says nothing about the check, whose context was
// cancelled, and is dropped.
func (h *Health) record(c *check, began time.Duration, err error) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	c.ended = h.now()
	c.took = c.ended - began
	c.runs++
	if err != nil {
		c.failures++
	}
	h.judge(c, err)
	return c.err == nil
}

// persist counts a run that goes on hanging as one more that failed.
func (h *Health) persist(c *check) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.judge(c, c.last)
	}
}

// judge makes of one more result whether the check passes, and publishes it.
// h.mu is held.
func (h *Health) judge(c *check, err error) {
	if (err == nil) != (c.last == nil) {
		c.streak = 0
	}
	c.last = err
	c.expires = h.now() + c.fresh()
	c.streak++
	switch {
	case err != nil:
		c.fell = err
		if c.err != nil || c.streak >= c.Fall {
			c.err = err
		}
	case c.err != nil && c.streak < c.Rise:
		c.err = fmt.Errorf("check %s: has passed %d of %d times since: %w", c.Name, c.streak, c.Rise, c.fell)
	default:
		c.err = nil
	}
	if c.kind == KindLiveness && c.err != nil && h.fatal == nil {
		h.fatal = &FatalError{Cause: c.err}
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
	if err == nil {
		err = c.late(context.DeadlineExceeded)
	}
	c.last, c.fell, c.hung = err, err, hung
	c.expires = h.now() + c.fresh()
	if c.err != nil {
		c.err = err
	}
	h.publish()
}
