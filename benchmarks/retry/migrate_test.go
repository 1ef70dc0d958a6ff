package retrybench

// Coming from another library: the same small client before and after. These
// examples are compiled and run, so they cannot rot.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/ballast-go/ballast/retry"
)

// flaky returns a call that fails so many times before it succeeds, and the
// number of times that it was made.
func flaky(failures int) (call func() error, calls *int) {
	calls = new(int)
	return func() error {
		if *calls++; *calls <= failures {
			return errDown
		}
		return nil
	}, calls
}

// From github.com/cenkalti/backoff/v4, whose schedules go on being used.
//
//	backoff.Retry(op, b)                     New, once; Do(ctx, fn) for each call
//	backoff.RetryWithData(op, b)             Call(ctx, r, fn)
//	op takes nothing                         fn takes the attempt's context; Attempt(ctx) is its number
//	b: a schedule, made before the call      Config.Backoff: a function, asked only after a first failure
//	the same b for two calls: a race         one for each call
//	NewExponentialBackOff()                  nil, which is full jitter; or as below
//	NewConstantBackOff(d), ZeroBackOff       Config.Backoff: func() retry.Backoff { return … }, as they are
//	WithMaxRetries(b, 2)                     Config.MaxAttempts: 3; the first one counts
//	no WithMaxRetries: as many as it takes   three; at most 100
//	MaxElapsedTime, 15 min if not set        a deadline of the context; a v4 schedule's own holds as well
//	WithContext(b, ctx)                      Do's ctx
//	a wait that outlasts the deadline        is not begun: the error comes at once
//	ctx.Err() alone, without a cause         errors.Is finds both, and the last 8 causes
//	the last error                           *Error, which is the last error and ErrExhausted
//	backoff.Permanent(err)                   Permanent(err), or an error with Retryable() bool
//	                                         (Config.Retryable tells of v4's, as below)
//	RetryNotify                              Stats, Error.Causes; fn itself, by Attempt(ctx)
//	Stop                                     the same: a schedule that returns less than 0 ends the call
//	Ticker                                   nothing
//	each call retries for itself             within a Budget, which retries of an outage soon use up
func Example_fromBackoff() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	// Before.
	op, calls := flaky(2)
	b := backoff.WithContext(backoff.WithMaxRetries(backoff.NewConstantBackOff(time.Millisecond), 2), ctx)
	err := backoff.Retry(op, b)
	fmt.Println(*calls, err)

	// After.
	r, err := retry.New(retry.Config{
		MaxAttempts: 3,
		Backoff:     func() retry.Backoff { return backoff.NewConstantBackOff(time.Millisecond) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	op, calls = flaky(2)
	err = r.Do(ctx, func(context.Context) error { return op() })
	fmt.Println(*calls, err)

	// Output:
	// 3 <nil>
	// 3 <nil>
}

// Of v4's wrappers around a schedule, which are schedules too, and of what an
// error tells in the end.
func Example_fromBackoff_giveUp() {
	schedule := func() retry.Backoff {
		return backoff.WithMaxRetries(backoff.NewConstantBackOff(time.Millisecond), 1)
	}

	// Before.
	op, calls := flaky(10)
	err := backoff.Retry(op, schedule())
	fmt.Println(*calls, err)

	// After: the schedule ends before MaxAttempts does.
	r, err := retry.New(retry.Config{MaxAttempts: 10, Backoff: schedule})
	if err != nil {
		fmt.Println(err)
		return
	}
	op, calls = flaky(10)
	err = r.Do(context.Background(), func(context.Context) error { return op() })
	fmt.Println(*calls, errors.Is(err, errDown), errors.Is(err, retry.ErrExhausted))

	// Output:
	// 2 the backend is down
	// 2 true true
}

// Of code further down that returns v4's permanent errors.
func Example_fromBackoff_permanent() {
	permanent := func() error { return backoff.Permanent(errDown) }

	// Before: the error comes without its wrapper.
	err := backoff.Retry(permanent, backoff.NewConstantBackOff(time.Millisecond))
	fmt.Println(err == errDown)

	// After.
	calls := 0
	r, err := retry.New(retry.Config{Retryable: func(err error) bool {
		return !errors.Is(err, &backoff.PermanentError{})
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = r.Do(context.Background(), func(context.Context) error { calls++; return permanent() })
	fmt.Println(calls, errors.Is(err, errDown))

	// What has been moved already needs no Retryable.
	calls = 0
	err = r.Do(context.Background(), func(context.Context) error { calls++; return retry.Permanent(errDown) })
	fmt.Println(calls, errors.Is(err, errDown))

	// Output:
	// true
	// 1 true
	// 1 true
}
