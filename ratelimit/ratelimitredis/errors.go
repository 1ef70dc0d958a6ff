package ratelimitredis

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrUnavailable says that Redis did not answer in time, or not as it
	// should. Every such error has Retryable() bool, which is true, and
	// RetryDelay() time.Duration, after which the limiter asks Redis again.
	ErrUnavailable = errors.New("ratelimitredis: no answer from Redis")

	// ErrClosed says that Close came first. It is Retryable, after a second:
	// another replica may take the call.
	ErrClosed error = closed{}
)

type closed struct{}

func (closed) Error() string             { return "ratelimitredis: limiter is closed" }
func (closed) Retryable() bool           { return true }
func (closed) RetryDelay() time.Duration { return time.Second }

// unavailable is ErrUnavailable with its cause. It does not unwrap to it: that
// Redis was too slow, say, is no context.DeadlineExceeded of the caller's.
type unavailable struct {
	cause error
	delay time.Duration
}

func (e *unavailable) Error() string             { return fmt.Sprintf("%v: %v", ErrUnavailable, e.cause) }
func (e *unavailable) Is(target error) bool      { return target == ErrUnavailable }
func (e *unavailable) Retryable() bool           { return true }
func (e *unavailable) RetryDelay() time.Duration { return e.delay }

var (
	errTimeout = errors.New("timeout")
	errDown    = errors.New("it is down")
)
