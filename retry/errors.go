package retry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

var (
	// ErrExhausted says that there were MaxAttempts, or that the schedule ended.
	ErrExhausted = errors.New("retry: all attempts failed")

	// ErrBudget says that the Budget had nothing left for another attempt.
	ErrBudget = errors.New("retry: no budget left for another attempt")

	// ErrNested says that the call belongs to another's retry, who will repeat it.
	ErrNested = errors.New("retry: the caller retries already")

	// ErrAttemptTimeout is what an attempt's error is that was stopped after
	// Config.PerAttempt, and the cause of its context. It is
	// context.DeadlineExceeded, and its Timeout() is true: a breaker further in
	// takes it for the service's failure, not for a caller who has left.
	ErrAttemptTimeout error = attemptTimeout{}

	// ErrBodyTooLarge says that an HTTP request's body was not kept for a retry,
	// because it is longer than TransportConfig.MaxBody.
	ErrBodyTooLarge = errors.New("retry: the request's body is too large to be sent again")
)

type attemptTimeout struct{}

func (attemptTimeout) Error() string        { return "retry: the attempt took too long" }
func (attemptTimeout) Is(target error) bool { return target == context.DeadlineExceeded }
func (attemptTimeout) Timeout() bool        { return true }

const (
	maxCauses = 8
	maxText   = 256 // bytes of a cause in an Error's text
)

// Error is what a call ends with that was given up although its last error was
// retryable. errors.Is and errors.As find Why and all of Causes.
type Error struct {
	Name     string // the Retrier's
	Attempts int    // that were made, and failed

	// Why is ErrExhausted, ErrBudget, ErrNested, ErrBodyTooLarge, or an error
	// that is context.DeadlineExceeded or context.Canceled, and also what
	// context.Cause said: the context had ended, or would have ended before the
	// next attempt.
	Why error

	// Causes are what the attempts returned: the last 8, oldest first.
	Causes []error
}

// Error has the last cause's text in it, of which it takes 256 bytes.
func (e *Error) Error() string {
	var b strings.Builder
	why := cut(fmt.Sprint(e.Why))
	if !strings.HasPrefix(why, "retry: ") {
		b.WriteString("retry: ")
	}
	b.WriteString(why)
	b.WriteString(" (")
	if e.Name != "" {
		fmt.Fprintf(&b, "%q, ", cut(e.Name))
	}
	fmt.Fprintf(&b, "attempts: %d)", e.Attempts)
	if n := len(e.Causes); n > 0 {
		b.WriteString(": ")
		b.WriteString(cut(fmt.Sprint(e.Causes[n-1])))
	}
	return b.String()
}

// cut shortens s to maxText bytes, between characters.
func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	end := maxText
	for end > maxText-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

// Unwrap returns Why and Causes.
func (e *Error) Unwrap() []error {
	errs := make([]error, 0, 1+len(e.Causes))
	if e.Why != nil {
		errs = append(errs, e.Why)
	}
	return append(errs, e.Causes...)
}

// Retryable is false, so that a retry around this one does not multiply it. It
// is true for ErrNested: this call has left it to the caller.
func (e *Error) Retryable() bool { return errors.Is(e.Why, ErrNested) }

// RetryDelay is the last cause's, or 0.
func (e *Error) RetryDelay() time.Duration {
	if len(e.Causes) == 0 {
		return 0
	}
	return retryDelay(e.Causes[len(e.Causes)-1])
}

// Permanent returns an error that is err, has its text, and is not retried. It
// returns nil for nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanent{err}
}

type permanent struct{ error }

func (p *permanent) Unwrap() error   { return p.error }
func (p *permanent) Retryable() bool { return false }

// After returns an error that is err, has its text, and is retried no sooner
// than after d, as far as Config.MaxDelay allows; 0 or less is no wish. It
// returns nil for nil.
func After(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return &after{err, max(d, 0)}
}

type after struct {
	error
	delay time.Duration
}

func (a *after) Unwrap() error             { return a.error }
func (a *after) Retryable() bool           { return true }
func (a *after) RetryDelay() time.Duration { return a.delay }

// worthRetrying says whether err, of an attempt whose call's context lives, may
// be gone the next time.
func (r *Retrier) worthRetrying(err error) bool {
	if says, ok := errors.AsType[interface {
		error
		Retryable() bool
	}](err); ok {
		return says.Retryable()
	}
	if r.retryable != nil {
		return r.retryable(err)
	}
	return !errors.Is(err, context.Canceled) || errors.Is(err, ErrAttemptTimeout) // by us, not by the caller
}

// retryDelay is what err wants to be waited, or 0.
func retryDelay(err error) time.Duration {
	if says, ok := errors.AsType[interface {
		error
		RetryDelay() time.Duration
	}](err); ok {
		return max(says.RetryDelay(), 0)
	}
	return 0
}
