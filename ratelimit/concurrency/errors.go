package concurrency

import "time"

// Errors of [Limiter.Acquire] that are the limiter's own. Compare with
// errors.Is. Each has Retryable() bool, whether the same call may succeed
// later, and RetryDelay() time.Duration, how long to wait at least before.
var (
	// ErrQueueFull says that the limit was reached and that MaxQueue calls were
	// waiting already. Retryable, after a second.
	ErrQueueFull error = &sentinel{text: "concurrency: limit reached and queue full", delay: time.Second}

	// ErrShed says that the call was turned away for the sake of more important
	// ones: its class has used its share of the limit, and its queue is full, or
	// its share of the queue; a call of a higher class took its place there; or
	// the pressure leaves nothing for its class. Retryable, after a second.
	ErrShed error = &sentinel{text: "concurrency: shed in favor of more critical calls", delay: time.Second}

	// ErrTimeout says that the call waited MaxWait for a permit in vain. (A
	// context that ends first gives its own error.) Retryable, after a second.
	ErrTimeout error = &sentinel{text: "concurrency: no permit in time", delay: time.Second}

	// ErrTooLarge says that the call alone is above MaxBytes, or that its body
	// is above MaxBodyBytes. Not retryable.
	ErrTooLarge error = &sentinel{text: "concurrency: larger than the byte budget"}
)

// sentinel is an error that is one fixed cause. A delay makes it retryable.
type sentinel struct {
	text  string
	delay time.Duration
}

func (e *sentinel) Error() string             { return e.text }
func (e *sentinel) Retryable() bool           { return e.delay > 0 }
func (e *sentinel) RetryDelay() time.Duration { return e.delay }
