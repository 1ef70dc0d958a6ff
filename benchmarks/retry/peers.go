package retrybench

import (
	"context"
	"errors"
	"time"

	avast "github.com/avast/retry-go/v5"
	cenkalti4 "github.com/cenkalti/backoff/v4"
	cenkalti5 "github.com/cenkalti/backoff/v5"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/budget"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	sethvargo "github.com/sethvargo/go-retry"
)

// errDown is what the work fails with.
var errDown = errors.New("the backend is down")

// settings are what every library is set to.
type settings struct {
	attempts   int
	base, most time.Duration // of the schedule: exponential, with jitter as each library's documentation has it
	fixed      bool          // the delay is base each time, and exactly
}

// usual is what the documentation of most shows.
func usual() settings {
	return settings{attempts: 3, base: 100 * time.Millisecond, most: 10 * time.Second}
}

// work is what is called, in the two forms that libraries want it in.
type work struct {
	do    func(context.Context) error
	plain func() error
}

// with makes work whose plain form knows the context of its call.
func with(ctx context.Context, do func(context.Context) error) work {
	return work{do, func() error { return do(ctx) }}
}

// A caller does n calls, one after the other, until one of them fails.
//
// The loop is inside, because a call through one more function value would cost
// about as much as what some of them are measured at.
type caller func(ctx context.Context, w work, n int) error

// peer is a library.
type peer struct {
	name   string
	note   string
	budget bool // it limits the retries of all calls together
	new    func(settings) (caller, error)
}

const (
	none             = "no retry"
	avastName        = "avast v5"
	avastThrottled   = "avast v5, throttle"
	sethvargoName    = "sethvargo"
	cenkalti5Name    = "cenkalti v5"
	cenkalti4Name    = "cenkalti v4"
	failsafeName     = "failsafe"
	failsafeBudgeted = "failsafe, budget"
)

// peers are ours and the others. Those that have something like a budget are
// there with it, as it is by default, and without. Failsafe's is of another kind:
// it bounds the retries that are under way, as a share of the calls that are,
// and calls that wait for their next attempt are among these.
func peers() []peer {
	return []peer{
		{Ours, "budget on", true, newBallast},
		{avastName, "its context is an option: made anew for each that can end", false, avastWith()},
		{avastThrottled, "the same, with its token bucket", true, func(s settings) (caller, error) {
			bucket := avast.NewFixedTokenBucketThrottle(avast.FixedTokenBucketThrottleConfig{})
			return avastWith(avast.WithThrottle(bucket))(s)
		}},
		{sethvargoName, "", false, newSethvargo},
		{cenkalti5Name, "", false, newCenkalti5},
		{cenkalti4Name, "", false, newCenkalti4},
		{failsafeName, "the executor is made once", false, func(s settings) (caller, error) {
			return newFailsafe(s, nil)
		}},
		{failsafeBudgeted, "the same, with its budget", true, func(s settings) (caller, error) {
			return newFailsafe(s, budget.New())
		}},
	}
}

func avastWith(more ...avast.Option) func(settings) (caller, error) {
	return func(s settings) (caller, error) {
		options := append([]avast.Option{avast.Attempts(uint(s.attempts)), avast.Delay(s.base)}, more...)
		if s.most > 0 {
			options = append(options, avast.MaxDelay(s.most))
		}
		if s.fixed {
			options = append(options, avast.DelayType(avast.FixedDelay))
		}
		once := avast.New(options...)
		last := len(options)
		options = append(options, nil)
		return func(ctx context.Context, w work, n int) error {
			if ctx.Done() == nil {
				for range n {
					if err := once.Do(w.plain); err != nil {
						return err
					}
				}
				return nil
			}
			options := append([]avast.Option(nil), options...)
			for range n {
				options[last] = avast.Context(ctx)
				if err := avast.New(options...).Do(w.plain); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}
}

func newSethvargo(s settings) (caller, error) {
	schedule := func() sethvargo.Backoff {
		return sethvargo.WithCappedDuration(s.most, sethvargo.WithFullJitter(sethvargo.NewExponential(s.base)))
	}
	if s.fixed {
		schedule = func() sethvargo.Backoff {
			return sethvargo.BackoffFunc(func() (time.Duration, bool) { return s.base, false })
		}
	}
	return func(ctx context.Context, w work, n int) error {
		do := func(ctx context.Context) error { return sethvargo.RetryableError(w.do(ctx)) }
		for range n {
			if err := sethvargo.Do(ctx, sethvargo.WithMaxRetries(uint64(s.attempts-1), schedule()), do); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

func newCenkalti5(s settings) (caller, error) {
	schedule := func() cenkalti5.BackOff {
		b := cenkalti5.NewExponentialBackOff()
		b.InitialInterval, b.MaxInterval = s.base, s.most
		return b
	}
	if s.fixed {
		schedule = func() cenkalti5.BackOff { return cenkalti5.NewConstantBackOff(s.base) }
	}
	tries := cenkalti5.WithMaxTries(uint(s.attempts))
	return func(ctx context.Context, w work, n int) error {
		do := func() (struct{}, error) { return struct{}{}, w.plain() }
		for range n {
			if _, err := cenkalti5.Retry(ctx, do, cenkalti5.WithBackOff(schedule()), tries); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

func newCenkalti4(s settings) (caller, error) {
	schedule := func() cenkalti4.BackOff {
		return cenkalti4.NewExponentialBackOff(cenkalti4.WithInitialInterval(s.base), cenkalti4.WithMaxInterval(s.most))
	}
	if s.fixed {
		schedule = func() cenkalti4.BackOff { return cenkalti4.NewConstantBackOff(s.base) }
	}
	return func(ctx context.Context, w work, n int) error {
		for range n {
			b := cenkalti4.WithMaxRetries(schedule(), uint64(s.attempts-1))
			if ctx.Done() != nil {
				b = cenkalti4.WithContext(b, ctx)
			}
			if err := cenkalti4.Retry(w.plain, b); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// newFailsafe makes an executor; b may be nil.
func newFailsafe(s settings, b budget.Budget) (caller, error) {
	builder := retrypolicy.NewBuilder[any]().WithMaxAttempts(s.attempts)
	switch {
	case !s.fixed:
		builder = builder.WithBackoff(s.base, s.most).WithJitterFactor(.25)
	case s.base > 0:
		builder = builder.WithDelay(s.base)
	}
	if b != nil {
		builder = builder.WithBudget(b)
	}
	executor := failsafe.With[any](builder.Build())
	return func(ctx context.Context, w work, n int) error {
		for range n {
			e := executor
			if ctx.Done() != nil {
				e = executor.WithContext(ctx)
			}
			if err := e.Run(w.plain); err != nil {
				return err
			}
		}
		return nil
	}, nil
}
