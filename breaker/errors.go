package breaker

import (
	"errors"
	"fmt"
	"time"
)

// ErrOpen is what every *[OpenError] is.
var ErrOpen = errors.New("breaker: open")

// OpenError says that a call was not made, because what it calls is broken. It
// may be shared by callers: do not change it.
type OpenError struct {
	// Name is Config.Name.
	Name string

	// RetryAfter is when a call may be let through again: the rest of the open
	// time or, where the load is being raised, the time until the next can go.
	// Above 0; Config.OpenFor at most where nobody knows, as after ForceOpen or
	// while probes are out.
	RetryAfter time.Duration
}

func (e *OpenError) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("breaker: open for %v", e.RetryAfter)
	}
	return fmt.Sprintf("breaker: %q is open for %v", e.Name, e.RetryAfter)
}

// Is makes errors.Is(err, ErrOpen) true.
func (e *OpenError) Is(target error) bool { return target == ErrOpen }

// Retryable is false: who calls again at once meets the same breaker. Go to
// another endpoint, fall back, or come back later.
func (e *OpenError) Retryable() bool { return false }

// RetryDelay is RetryAfter.
func (e *OpenError) RetryDelay() time.Duration { return e.RetryAfter }
