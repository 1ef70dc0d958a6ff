package breaker

import (
	"errors"
	"fmt"
	"time"
)

// What a Config's zero fields mean.
const (
	defaultFailureRate = 0.5
	defaultSlowRate    = 0.5
	defaultConsecutive = 20
	defaultMinCalls    = 20
	defaultWindow      = 10 * time.Second
	defaultOpenFor     = time.Second
	defaultMaxOpenFor  = 30 * time.Second
	defaultProbes      = 3
	defaultProbeTTL    = 30 * time.Second

	minWindow = 10 * time.Millisecond
	maxTime   = 24 * time.Hour
	maxProbes = 1000
	maxCount  = 1 << 30
)

// Config configures [New]. The zero value is useful.
type Config struct {
	// Name is for errors and metrics.
	Name string

	// FailureRate opens the breaker when as large a share of the calls in the
	// window has failed, above 0 and at most 1. 0 means 0.5.
	FailureRate float64

	// SlowRate opens the breaker when as large a share of the calls in the window
	// was slow, above 0 and at most 1, whether they succeeded or failed. 0 means
	// 0.5. It needs SlowAfter. A recovery goes no further while such a share is slow,
	// and neither goes back: the service does answer.
	SlowRate float64

	// SlowAfter is the service time from which on a call is slow: until it is
	// Done, or the [Permit.FirstByte] of a stream. 0 means that no call is, and
	// saves a reading of the clock. At most a day, as all times here.
	SlowAfter time.Duration

	// ConsecutiveFailures opens the breaker when so many calls in a row have
	// failed, in the order in which they ended, whatever the window says: a total
	// outage is found at once. 0 means 20, which no service that fails half of the
	// time reaches before a million calls. Below 0, it never does.
	ConsecutiveFailures int

	// MinCalls is how many calls there must be in the window for a rate to say
	// anything. 0 means 20.
	MinCalls int

	// Window is how far back the rates look. It slides by 1/64 of itself. After a
	// long time in which all was well, a rate is reached when so much of the window
	// is bad: half of 10 s, for one of 0.5 (ConsecutiveFailures is faster where all
	// calls fail). So a service that is to be found slow sooner needs a shorter
	// window. 0 means 10 s; it is at least 10 ms.
	Window time.Duration

	// OpenFor is how long the breaker stays open at most before it lets the first
	// probes through: between half of it and all, at random, so that many
	// processes do not probe together. It grows by a quarter each time that the probes
	// or the recovery fail, up to MaxOpenFor, and is back at OpenFor for a breaker
	// that has stayed closed for a Window. 0 means 1 s.
	OpenFor time.Duration

	// MaxOpenFor bounds OpenFor's growth. 0 means 30 s, or OpenFor if that is
	// longer.
	MaxOpenFor time.Duration

	// Probes is how many calls are let through after the open time, in all, until
	// they have told how it stands. Recovery begins when less of them than
	// FailureRate says have failed. 0 means 3; at most 1000.
	Probes int

	// ProbeTTL is how long a probe may take to report. After that it counts as
	// failed. So it must be longer than a healthy call takes, or a healthy stream
	// to its first byte. 0 means 30 s.
	ProbeTTL time.Duration

	// Classify says what an error that a call returned says of the health of what
	// was called. It is not asked about nil, which is Success, nor about a call
	// whose caller has canceled its context, which is ignored. nil means: an error
	// that is [ErrOpen] is ignored, context.Canceled as well while the context has
	// time left, and all others, context.DeadlineExceeded included, are failures. A
	// breaker that hears of nothing else than what is ignored stays half open, or at
	// its step of a recovery. It must be safe for concurrent use.
	Classify func(error) Outcome

	// OnStateChange is told of each change of state, one after the other and in
	// their order, by the goroutine of some call. It may use the breaker.
	OnStateChange func(from, to State)

	_ struct{}
}

// withDefaults returns cfg with its zero fields set, or all that is wrong with it.
func (cfg Config) withDefaults() (*Config, error) {
	setDefault(&cfg.FailureRate, defaultFailureRate)
	setDefault(&cfg.SlowRate, defaultSlowRate)
	setDefault(&cfg.ConsecutiveFailures, defaultConsecutive)
	setDefault(&cfg.MinCalls, defaultMinCalls)
	setDefault(&cfg.Window, defaultWindow)
	setDefault(&cfg.OpenFor, defaultOpenFor)
	setDefault(&cfg.MaxOpenFor, max(defaultMaxOpenFor, cfg.OpenFor))
	setDefault(&cfg.Probes, defaultProbes)
	setDefault(&cfg.ProbeTTL, defaultProbeTTL)
	var errs []error
	check := func(ok bool, field string, value any, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("breaker: Config.%s is %v, must be %s", field, value, want))
		}
	}
	span := func(field string, d, least time.Duration) {
		check(d >= least && d <= maxTime, field, d, fmt.Sprintf("from %v to %v", least, maxTime))
	}
	check(cfg.FailureRate > 0 && cfg.FailureRate <= 1, "FailureRate", cfg.FailureRate, "above 0 and at most 1")
	check(cfg.SlowRate > 0 && cfg.SlowRate <= 1, "SlowRate", cfg.SlowRate, "above 0 and at most 1")
	span("SlowAfter", cfg.SlowAfter, 0)
	check(cfg.ConsecutiveFailures <= maxCount, "ConsecutiveFailures", cfg.ConsecutiveFailures, "at most 1<<30")
	check(cfg.MinCalls > 0 && cfg.MinCalls <= maxCount, "MinCalls", cfg.MinCalls, "from 1 to 1<<30")
	span("Window", cfg.Window, minWindow)
	span("OpenFor", cfg.OpenFor, time.Millisecond)
	span("MaxOpenFor", cfg.MaxOpenFor, time.Millisecond)
	check(cfg.MaxOpenFor >= cfg.OpenFor, "MaxOpenFor", cfg.MaxOpenFor, "at least OpenFor")
	check(cfg.Probes > 0 && cfg.Probes <= maxProbes, "Probes", cfg.Probes, "from 1 to 1000")
	span("ProbeTTL", cfg.ProbeTTL, time.Millisecond)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &cfg, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
