package ratelimit

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"
)

var (
	// ErrLimited is what every *[LimitedError] is.
	ErrLimited = errors.New("ratelimit: over the limit")

	// ErrCost says that a negative number was asked for.
	ErrCost = errors.New("ratelimit: negative cost")
)

// LimitedError says that a limit was hit, and what it was. It is the error of
// calls that cannot return a [Decision] alone.
type LimitedError struct{ Decision Decision }

func (e *LimitedError) Error() string {
	rule := ""
	if e.Decision.Rule != "" {
		rule = fmt.Sprintf(" %q", e.Decision.Rule)
	}
	if !e.Retryable() {
		return fmt.Sprintf("ratelimit: more than the limit%s allows at once", rule)
	}
	return fmt.Sprintf("ratelimit: over the limit%s for %v", rule, e.Decision.RetryAfter)
}

// Is makes errors.Is(err, ErrLimited) true.
func (e *LimitedError) Is(target error) bool { return target == ErrLimited }

// Retryable is true unless the call asks for more than the limit ever allows.
func (e *LimitedError) Retryable() bool { return e.Decision.RetryAfter != rate.InfDuration }

// RetryDelay is the Decision's RetryAfter, or 0 if there is no use in waiting.
func (e *LimitedError) RetryDelay() time.Duration {
	if !e.Retryable() {
		return 0
	}
	return e.Decision.RetryAfter
}
