package auth

import (
	"errors"
	"time"
)

var errReuseClosed = errors.New("auth: Reuse is closed")

// sourceError is the error of a Reuse that has no token.
type sourceError struct {
	cause error
	delay time.Duration // when the source will be asked again
}

func (e *sourceError) Error() string { return "auth: no token for calls: " + e.cause.Error() }
func (e *sourceError) Unwrap() error { return e.cause }

// Is makes an ErrUnavailable of it: that there is no token says nothing of the service
// that it was for, and a breaker's Classify should be able to tell.
func (e *sourceError) Is(target error) bool { return target == ErrUnavailable && e.Retryable() }

// Retryable is what the source's error says, or true.
func (e *sourceError) Retryable() bool {
	var told interface{ Retryable() bool }
	if errors.As(e.cause, &told) {
		return told.Retryable()
	}
	return e.cause != errReuseClosed
}

func (e *sourceError) RetryDelay() time.Duration { return e.delay }
