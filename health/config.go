package health

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	defaultDrainDelay        = 5 * time.Second
	defaultStartupInterval   = time.Second
	defaultStartupTimeout    = 5 * time.Minute
	defaultReadinessInterval = 10 * time.Second
	defaultReadinessTimeout  = 2 * time.Second

	minDuration   = time.Millisecond
	maxDuration   = 24 * time.Hour
	maxNameLength = 64

	// slack is how late a result may be before it is stale, and how long after
	// its timeout a check may take to return before it is called hung. It
	// covers a process that is throttled for a few CPU quota periods of 100 ms.
	slack = time.Second
)

// Config says what is checked and how long draining takes. The zero value is
// useful: without checks the process is started and ready at once.
type Config struct {
	// Startup lists what must succeed once before the process is started:
	// the model is loaded, a warm-up ran. They run concurrently; each is
	// repeated until it has passed and then never again. What must happen in
	// an order belongs into one Func.
	Startup []Check

	// Readiness lists what must be well for this replica to get traffic. They
	// run concurrently, from New on, also while startup is going on. Beware of
	// a dependency that all replicas share: when it is away none of them is
	// ready, though they might have served something.
	Readiness []Check

	// DrainDelay is how long Drain waits between telling that the process is
	// not ready and returning, so that load balancers notice meanwhile.
	// Zero means 5 s, negative means no wait, at most 24 h.
	DrainDelay time.Duration

	// OnStateChange, if set, is called whenever the overall state has changed
	// since the last call, and after Fatal in any case; the first call's from
	// is StateStarting. why is what Ready returned then: nil when to is
	// StateHealthy. Calls come from one goroutine, one after the other; a state
	// that has passed while a call was going on is skipped. Results that turn stale change no state here: only
	// probes see that. It must not call Close, which waits for it, and a panic
	// in it is not recovered.
	OnStateChange func(from, to State, why error)

	_ struct{}
}

// Check is one thing to look at, again and again.
type Check struct {
	// Name tells the check from all others of the same Config: 1 to 64 ASCII
	// letters, digits and any of "-_.:/". It appears in Stats and in errors.
	Name string

	// Func returns nil if all is well. It is never called twice at the same
	// time, and should return when ctx ends, which happens after Timeout and
	// on Close. A panic and runtime.Goexit count as failures. A nil that comes
	// after the timeout counts as a failure, too. Required.
	Func func(ctx context.Context) error

	// Interval is the pause between the end of one run and the start of the
	// next. Zero means 10 s for a readiness check and 1 s for a startup check;
	// else 1 ms to 24 h.
	Interval time.Duration

	// Timeout is how long a run may take. Zero means 2 s for a readiness check
	// and, because startup checks load models, 5 min for a startup check; else
	// 1 ms to 24 h.
	Timeout time.Duration

	_ struct{}
}

// checks returns the checks with their defaults filled in, or all that is
// wrong with c.
func (c Config) checks() ([]*check, error) {
	var (
		all  []*check
		errs []error
	)
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("health: Config."+field+": "+format, args...))
	}
	if c.DrainDelay > maxDuration {
		bad("DrainDelay", "%v is above %v", c.DrainDelay, maxDuration)
	}
	taken := make(map[string]string)
	add := func(list string, given []Check, startup bool, interval, timeout time.Duration) {
		for i, one := range given {
			field := fmt.Sprintf("%s[%d]", list, i)
			if err := checkName(one.Name); err != nil {
				bad(field+".Name", "%w", err)
			} else if first, ok := taken[one.Name]; ok {
				bad(field+".Name", "%q is already the name of %s", one.Name, first)
			} else {
				taken[one.Name] = field
			}
			if one.Func == nil {
				bad(field+".Func", "is nil")
			}
			var err error
			if one.Interval, err = orDefault(one.Interval, interval); err != nil {
				bad(field+".Interval", "%w", err)
			}
			if one.Timeout, err = orDefault(one.Timeout, timeout); err != nil {
				bad(field+".Timeout", "%w", err)
			}
			all = append(all, newCheck(one, startup))
		}
	}
	add("Startup", c.Startup, true, defaultStartupInterval, defaultStartupTimeout)
	add("Readiness", c.Readiness, false, defaultReadinessInterval, defaultReadinessTimeout)
	return all, errors.Join(errs...)
}

// drainDelay returns the wait in effect.
func (c Config) drainDelay() time.Duration {
	if c.DrainDelay == 0 {
		return defaultDrainDelay
	}
	return c.DrainDelay
}

func orDefault(d, otherwise time.Duration) (time.Duration, error) {
	switch {
	case d == 0:
		return otherwise, nil
	case d < minDuration || d > maxDuration:
		return 0, fmt.Errorf("%v is not between %v and %v", d, minDuration, maxDuration)
	}
	return d, nil
}

// checkName keeps names fit for a log line, a label and a URL's query.
func checkName(name string) error {
	const punctuation = "-_.:/"
	switch {
	case name == "":
		return errors.New("is empty")
	case len(name) > maxNameLength:
		return fmt.Errorf("has %d bytes, above %d", len(name), maxNameLength)
	}
	for _, r := range name {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		if !letter && !strings.ContainsRune(punctuation, r) {
			return fmt.Errorf("%q has %q, which is neither an ASCII letter or digit nor one of %q", name, r, punctuation)
		}
	}
	return nil
}
