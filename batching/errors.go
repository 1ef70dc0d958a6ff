package batching

import (
	"fmt"
	"time"
)

// Errors of [Batcher.Do] that are the batcher's own. Compare with errors.Is.
// Each has Retryable() bool, whether the same call may succeed later, and
// RetryDelay() time.Duration, how long to wait at least before (0: no advice).
var (
	// ErrQueueFull says that MaxQueue items were waiting already, or that an
	// item with a better claim took this one's place. Retryable, after a second.
	ErrQueueFull error = &sentinel{text: "batching: queue is full", delay: time.Second}

	// ErrClosed says that Close or Abort came first. Retryable, after a
	// second: another replica, or this one's next batcher, may take the call.
	ErrClosed error = &sentinel{text: "batching: batcher is closed", delay: time.Second}

	// ErrShed is what every *[ShedError] is.
	ErrShed error = &sentinel{text: "batching: cannot be answered in time", delay: time.Second}

	// ErrBatchTimeout says that run took longer than BatchTimeout. Not
	// retryable: the item itself may be what the backend hangs on.
	ErrBatchTimeout error = &sentinel{text: "batching: run took too long"}

	// ErrTooLarge says that the item's cost alone is above MaxBatchCost. Not
	// retryable.
	ErrTooLarge error = &sentinel{text: "batching: item costs more than a batch may"}

	// ErrNoResult says that run returned nil without answering the item, or
	// ended in runtime.Goexit. Not retryable.
	ErrNoResult error = &sentinel{text: "batching: run gave no result for this item"}

	// ErrReentrant says that Do, DoMany or Close was called with the context
	// that the same batcher gave to run, or one made from it. The call would
	// wait for an instance that waits for the call. Not retryable.
	ErrReentrant error = &sentinel{text: "batching: called from inside run"}
)

// errGoexit is for items whose run left through runtime.Goexit.
var errGoexit = fmt.Errorf("%w: run called runtime.Goexit", ErrNoResult)

// sentinel is an error that is one fixed cause. A delay makes it retryable.
type sentinel struct {
	text  string
	delay time.Duration
}

func (e *sentinel) Error() string             { return e.text }
func (e *sentinel) Retryable() bool           { return e.delay > 0 }
func (e *sentinel) RetryDelay() time.Duration { return e.delay }

// ShedError says that a call could not have been answered within
// TargetLatency, or before its context's deadline, and was not tried.
type ShedError struct {
	Estimate   time.Duration // how long the answer would have taken
	RetryAfter time.Duration // when there may be room again; above 0
}

func (e *ShedError) Error() string {
	return fmt.Sprintf("batching: cannot be answered in time: it would take %v", e.Estimate)
}

// Is makes errors.Is(err, ErrShed) true.
func (e *ShedError) Is(target error) bool { return target == ErrShed }

// Retryable is true.
func (e *ShedError) Retryable() bool { return true }

// RetryDelay is RetryAfter.
func (e *ShedError) RetryDelay() time.Duration { return e.RetryAfter }

// PanicError is what a panic in run becomes for each item that it left
// unanswered. They share one PanicError: treat it as read-only.
//
// It does not unwrap to Value: a backend that panics with, say,
// context.Canceled has not been canceled.
type PanicError struct {
	Value any    // what was given to panic
	Stack []byte // of the panicking goroutine, as debug.Stack formats it
}

// Error gives the value but not the stack. Neither is fit for a client.
func (e *PanicError) Error() string { return fmt.Sprintf("batching: run panicked: %v", e.Value) }

// Retryable is false: the item itself may be what the backend panics on.
func (e *PanicError) Retryable() bool { return false }

// RetryDelay is 0.
func (e *PanicError) RetryDelay() time.Duration { return 0 }

// exhausted is what OnExhausted gets.
type exhausted struct {
	name string
	hung int
}

func (e *exhausted) Error() string {
	return fmt.Sprintf("batching: %q: %d runs hang and the last of them is not replaced", e.name, e.hung)
}
