package health

import (
	"errors"
	"strings"
)

var (
	// ErrNotStarted is why Started and Ready fail until every startup check
	// has passed once. The error that wraps it also wraps what the failing
	// checks returned.
	ErrNotStarted = errors.New("health: not started")

	// ErrNotReady is why Ready fails when a readiness check has failed, has
	// not answered yet, or has not answered for too long. The error that wraps
	// it also wraps what the failing checks returned.
	ErrNotReady = errors.New("health: not ready")

	// ErrDegraded is why State is StateDegraded: a dependency is down, has not
	// answered yet, or has not answered for too long. The error that wraps it
	// also wraps what the failing checks returned. Ready does not return it.
	ErrDegraded = errors.New("health: degraded")

	// ErrDraining is why Ready fails after Drain or Close, and the cause with
	// which Serve ends the contexts of requests that it is about to cut.
	ErrDraining = errors.New("health: draining")

	// ErrFatal is why Live and Ready fail after Fatal. The error is a
	// *FatalError.
	ErrFatal = errors.New("health: fatal")
)

// FatalError is what Live and Ready return once Fatal has been called.
// errors.Is finds both ErrFatal and the Cause.
type FatalError struct {
	// Cause is what the first call of Fatal was given; may be nil.
	Cause error
}

// Error returns "health: fatal: " and the cause.
func (e *FatalError) Error() string {
	if e.Cause == nil {
		return ErrFatal.Error()
	}
	return ErrFatal.Error() + ": " + e.Cause.Error()
}

// Is reports whether target is ErrFatal.
func (e *FatalError) Is(target error) bool { return target == ErrFatal }

// Unwrap returns the cause.
func (e *FatalError) Unwrap() error { return e.Cause }

// checksError is a verdict together with the failures that led to it. It is
// worded once, when a snapshot is made, not when a probe asks.
type checksError struct {
	text string
	errs []error // the sentinel, then one for each failing check
}

func newChecksError(sentinel error, failures []error) *checksError {
	texts := make([]string, len(failures))
	for i, err := range failures {
		texts[i] = err.Error()
	}
	return &checksError{
		text: sentinel.Error() + ": " + strings.Join(texts, "; "),
		errs: append([]error{sentinel}, failures...),
	}
}

func (e *checksError) Error() string   { return e.text }
func (e *checksError) Unwrap() []error { return e.errs }
