package retrygrpc

import (
	"context"
	"errors"

	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/retry"
)

// callError is the error of a call that was given up: a status, as callers expect
// of a call, that tells errors.Is and errors.As all the rest.
type callError struct {
	status *status.Status
	cause  error
}

func (e *callError) Error() string              { return e.cause.Error() }
func (e *callError) Unwrap() error              { return e.cause }
func (e *callError) GRPCStatus() *status.Status { return e.status }

// conclude makes of what a Retrier returns for a call with ctx what the caller
// gets.
func conclude(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if f, ok := err.(*failure); ok { // not retried, or no more
		return f.error
	}
	if gaveUp, ok := errors.AsType[*retry.Error](err); ok {
		return &callError{lastStatus(ctx, gaveUp), err}
	}
	return &callError{statusOf(err), err}
}

// lastStatus is the code by which a call that was given up is known: its last
// attempt's, unless it is over for the caller, too. (status.FromError would find
// the first attempt's.)
func lastStatus(ctx context.Context, gaveUp *retry.Error) *status.Status {
	if ended := ctx.Err(); ended != nil && errors.Is(gaveUp.Why, ended) {
		return status.FromContextError(ended)
	}
	if n := len(gaveUp.Causes); n > 0 {
		return statusOf(gaveUp.Causes[n-1])
	}
	return statusOf(gaveUp)
}
