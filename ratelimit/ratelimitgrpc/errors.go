package ratelimitgrpc

import (
	"context"
	"fmt"
	"math"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/ratelimit"
)

// callError is the error of a call that was not made: a status, as callers
// expect of a call, that says to errors.Is what its cause was.
type callError struct {
	code    codes.Code
	cause   error         // a context's, or nil
	limited bool          // it is ratelimit.ErrLimited
	delay   time.Duration // until there may be room; 0 if there is no use in waiting
}

func (e *callError) Error() string        { return e.GRPCStatus().Err().Error() }
func (e *callError) Is(target error) bool { return e.limited && target == ratelimit.ErrLimited }
func (e *callError) Unwrap() error        { return e.cause }

func (e *callError) GRPCStatus() *status.Status {
	var text string
	switch {
	case !e.limited:
		text = e.cause.Error()
	case e.delay > 0:
		text = fmt.Sprintf("ratelimit: the call would have to wait %v, past its deadline", e.delay)
	default:
		text = "ratelimit: the call is more than is ever let through"
	}
	return status.New(e.code, text)
}

// Retryable and RetryDelay are the contract between packages.
func (e *callError) Retryable() bool           { return e.delay > 0 }
func (e *callError) RetryDelay() time.Duration { return e.delay }

// ended is for a call whose context ended before its turn.
func ended(ctx context.Context) *callError {
	err := ctx.Err()
	return &callError{code: status.FromContextError(err).Code(), cause: err}
}

// tooLate is for a call that would have to wait for d, past its deadline.
func tooLate(d time.Duration) *callError {
	return &callError{codes.ResourceExhausted, context.DeadlineExceeded, true, d}
}

// refused is for a call that l cannot let through before its deadline.
func refused(l *rate.Limiter, n int) *callError {
	limit, burst, tokens := float64(l.Limit()), l.Burst(), l.Tokens()
	if n > burst || limit <= 0 {
		return &callError{codes.ResourceExhausted, nil, true, 0}
	}
	// Rounded up, and above 0 even if there is room by now.
	wait := math.Ceil((float64(n) - tokens) / limit * float64(time.Second))
	const most = 100 * 365 * 24 * time.Hour // which no float64 is rounded past
	return tooLate(time.Duration(min(max(wait, 1), float64(most))))
}
