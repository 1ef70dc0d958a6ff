package breaker

import (
	"context"
	"errors"
)

// errNoOption is that of a Fallback among nothing.
var errNoOption = errors.New("breaker: Fallback has no option")

// Fallback tries the options one after the other, and returns the value of the
// first that succeeds: another model, a cached answer, a plain apology. The first
// gets ctx itself; the others get one from which [CauseFromContext] takes why
// those before have failed.
//
// If all fail, the error is theirs, joined, the first one first. If ctx ends, no
// further option is tried, and the error is also ctx's. A panic goes on.
func Fallback[T any](ctx context.Context, options ...func(context.Context) (T, error)) (T, error) {
	var zero T
	if len(options) == 0 {
		return zero, errNoOption
	}
	var errs []error
	in := ctx
	for _, option := range options {
		if err := ctx.Err(); err != nil {
			return zero, joined(append(errs, err))
		}
		v, err := option(in)
		if err == nil {
			return v, nil
		}
		errs = append(errs, err)
		in = context.WithValue(ctx, causeKey{}, joined(errs))
	}
	return zero, joined(errs)
}

// joined leaves a single error what it is.
func joined(errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

type causeKey struct{}

// CauseFromContext returns, inside an option of [Fallback], the errors of those
// before it, joined; nil inside the first one, and elsewhere. (The first option of
// a Fallback that is itself part of another's option sees that one's cause.)
func CauseFromContext(ctx context.Context) error {
	err, _ := ctx.Value(causeKey{}).(error)
	return err
}
