package retry

import (
	"errors"
	"fmt"
	"time"
)

// Config configures [New]. The zero value is useful: three attempts, full
// jitter from 100 ms to 10 s, and a budget of its own.
type Config struct {
	// Name tells this Retrier from others, in Stats' series and in errors.
	Name string

	// MaxAttempts is how often a call is made at most, the first time included:
	// 0 means 3, 1 never retries. At most 100.
	MaxAttempts int

	// Backoff makes the schedule of one call's retries, after its first attempt
	// has failed. Nil means FullJitter(100*time.Millisecond, 10*time.Second). If
	// it returns nil there is no retry. Each call needs a schedule of its own:
	// to return the same one twice is a race.
	Backoff func() Backoff

	// Budget is shared by all that must not amplify an outage together: every
	// Retrier and [Hedger] in front of the same service. Nil means one of its
	// own, of the zero BudgetConfig.
	Budget *Budget

	// PerAttempt is how long one attempt may take: its context then ends, with
	// the cause [ErrAttemptTimeout]. 0 means as long as the call's context.
	PerAttempt time.Duration

	// MaxDelay is the longest RetryDelay of an error that is obeyed: one that
	// is longer counts as this. 0 means 30 s.
	MaxDelay time.Duration

	// Retryable says whether to try again after err, for errors that do not say
	// so themselves (see Errors in the package's documentation). Nil means yes,
	// unless err is a context.Canceled and no ErrAttemptTimeout. It is not asked
	// once the call's context has ended.
	Retryable func(err error) bool

	_ struct{}
}

// What the zero Config means.
const (
	defaultAttempts = 3
	maxAttempts     = 100
	defaultBase     = 100 * time.Millisecond
	defaultMost     = 10 * time.Second
	defaultMaxDelay = 30 * time.Second
)

func (c Config) validate() error {
	f := faults{config: "Config"}
	if c.MaxAttempts < 0 || c.MaxAttempts > maxAttempts {
		f.add("MaxAttempts", "%d is not between 1 and %d", c.MaxAttempts, maxAttempts)
	}
	if c.PerAttempt < 0 {
		f.add("PerAttempt", "%v is below 0", c.PerAttempt)
	}
	if c.MaxDelay < 0 {
		f.add("MaxDelay", "%v is below 0", c.MaxDelay)
	}
	return errors.Join(f.errs...)
}

// faults are all that is wrong with a configuration.
type faults struct {
	config string
	errs   []error
}

func (f *faults) add(field, format string, args ...any) {
	f.errs = append(f.errs, fmt.Errorf("retry: "+f.config+"."+field+": "+format, args...))
}
