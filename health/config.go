package health

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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
	maxThreshold  = 100
	maxChecks     = 256

	defaultLivenessFall = 3

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

	// Readiness lists what must be well for this replica to get traffic, and
	// what is its own: its device, its model, its disk. They run concurrently,
	// from New on, also while startup is going on. What all replicas share
	// belongs into Dependencies: were it here, all of them would leave together.
	Readiness []Check

	// Dependencies lists what this replica uses and shares with the others:
	// Redis, a database, an issuer of tokens. One that is down makes the
	// replica degraded, and still ready. They run as readiness checks do.
	Dependencies []Dependency

	// Liveness lists watchdogs over the process itself, of a type of their own
	// that no dependency fits. One that fails for good is Fatal. They run once
	// startup has passed. Few processes need one.
	Liveness []LivenessCheck

	// DrainDelay is how long Drain waits between telling that the process is
	// not ready and returning, so that load balancers notice meanwhile.
	// Zero means 5 s, negative means no wait, at most 24 h.
	DrainDelay time.Duration

	// OnStateChange, if set, is called whenever the overall state has changed
	// since the last call, and after Fatal in any case; the first call's from
	// is StateStarting. why is what State returned then: nil when to is
	// StateHealthy. Calls come from one goroutine, one after the other; a state
	// that has passed while a call was going on is skipped. Results that turn
	// stale change no state here: probes and Changes see that. It must not call
	// Close, which waits for it, and a panic in it is not recovered.
	OnStateChange func(from, to State, why error)

	// Verbose says who may see details over HTTP: which checks there are, which
	// fail, and why, with ?verbose, ?exclude= and application/health+json. It is
	// called for requests that ask for that type or have any query, concurrently.
	// Nil means nobody: they get the plain answer.
	Verbose func(*http.Request) bool

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
	// after the timeout counts as a failure, too. It must not call Close, which
	// waits for it. Required.
	Func func(ctx context.Context) error

	// Interval is the pause between the end of one run and the start of the
	// next. Zero means 10 s for a readiness check and 1 s for a startup check;
	// else 1 ms to 24 h.
	Interval time.Duration

	// Timeout is how long a run may take. Zero means 2 s for a readiness check
	// and, because startup checks load models, 5 min for a startup check; else
	// 1 ms to 24 h.
	Timeout time.Duration

	// Rise is how many runs in a row must pass for a check that fails, or has
	// no result yet, to pass: Kubernetes' successThreshold. Zero means 1; else
	// 1 to 100.
	Rise int

	// Fall is how many runs in a row must fail for a check that passes to fail:
	// Kubernetes' failureThreshold. While a run hangs, each further Interval
	// counts as one that failed. Zero means 1; else 1 to 100. A startup check
	// has none: it fails until it passes.
	Fall int

	_ struct{}
}

// Dependency is something outside of the process that other replicas use as
// well. Its fields mean what those of a readiness [Check] mean.
type Dependency struct {
	Name     string
	Func     func(ctx context.Context) error
	Interval time.Duration
	Timeout  time.Duration
	Rise     int
	Fall     int

	_ struct{}
}

// LivenessCheck is a watchdog over the process itself: a loop that still turns,
// a device that still finishes what it was given. Once it has failed Fall times
// in a row the process is beyond cure, as if it had called [Health.Fatal].
type LivenessCheck struct {
	// Name is as that of a Check.
	Name string

	// Func returns nil if all is well. It looks at what the process knows by
	// itself and gets no context, because it has nobody to wait for. One that
	// does not return within Timeout, as of a lock that nobody gives back, has
	// failed, and fails again with each further Interval. Otherwise it is as
	// that of a Check. Required.
	Func func() error

	// Interval and Timeout are as those of a readiness check: zero means 10 s
	// and 2 s.
	Interval, Timeout time.Duration

	// Fall is how many runs in a row must fail. Zero means 3; else 1 to 100. With
	// 1, a pause of the whole process in the midst of a run is fatal.
	Fall int

	_ struct{}
}

// checks returns the checks with their defaults filled in, or all that is
// wrong with c.
func (c Config) checks() ([]*check, error) {
	l := lists{taken: make(map[string]string)}
	if c.DrainDelay > maxDuration {
		l.bad("DrainDelay", "%v is above %v", c.DrainDelay, maxDuration)
	}
	for i, one := range c.Startup {
		field := fmt.Sprintf("Startup[%d]", i)
		if one.Fall != 0 {
			l.bad(field+".Fall", "is %d, but a startup check fails until it passes", one.Fall)
			one.Fall = 0
		}
		l.add(field, KindStartup, one, defaultStartupInterval, defaultStartupTimeout)
	}
	for i, one := range c.Readiness {
		l.add(fmt.Sprintf("Readiness[%d]", i), KindReadiness, one, defaultReadinessInterval, defaultReadinessTimeout)
	}
	for i, one := range c.Dependencies {
		l.add(fmt.Sprintf("Dependencies[%d]", i), KindDependency, Check(one), defaultReadinessInterval, defaultReadinessTimeout)
	}
	for i, one := range c.Liveness {
		l.add(fmt.Sprintf("Liveness[%d]", i), KindLiveness, one.check(), defaultReadinessInterval, defaultReadinessTimeout)
	}
	if n := len(l.all); n > maxChecks {
		l.errs = append(l.errs, fmt.Errorf("health: Config: %d checks, above %d", n, maxChecks))
	}
	return l.all, errors.Join(l.errs...)
}

// check is what runs a watchdog as any other check.
func (c LivenessCheck) check() Check {
	one := Check{Name: c.Name, Interval: c.Interval, Timeout: c.Timeout, Fall: c.Fall}
	if one.Fall == 0 {
		one.Fall = defaultLivenessFall
	}
	if c.Func != nil {
		one.Func = func(context.Context) error { return c.Func() }
	}
	return one
}

// lists collects the checks of a Config, and what is wrong with them.
type lists struct {
	all   []*check
	taken map[string]string // names, and whose they are
	errs  []error
}

func (l *lists) bad(field, format string, args ...any) {
	l.errs = append(l.errs, fmt.Errorf("health: Config."+field+": "+format, args...))
}

func (l *lists) add(field string, kind Kind, one Check, interval, timeout time.Duration) {
	if err := checkName(one.Name); err != nil {
		l.bad(field+".Name", "%w", err)
	} else if first, ok := l.taken[one.Name]; ok {
		l.bad(field+".Name", "%q is already the name of %s", one.Name, first)
	} else {
		l.taken[one.Name] = field
	}
	if one.Func == nil {
		l.bad(field+".Func", "is nil")
	}
	var err error
	if one.Interval, err = orDefault(one.Interval, interval); err != nil {
		l.bad(field+".Interval", "%w", err)
	}
	if one.Timeout, err = orDefault(one.Timeout, timeout); err != nil {
		l.bad(field+".Timeout", "%w", err)
	}
	if one.Rise, err = threshold(one.Rise); err != nil {
		l.bad(field+".Rise", "%w", err)
	}
	if one.Fall, err = threshold(one.Fall); err != nil {
		l.bad(field+".Fall", "%w", err)
	}
	l.all = append(l.all, newCheck(one, kind))
}

func threshold(n int) (int, error) {
	switch {
	case n == 0:
		return 1, nil
	case n < 1 || n > maxThreshold:
		return 0, fmt.Errorf("%d is not between 1 and %d", n, maxThreshold)
	}
	return n, nil
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
