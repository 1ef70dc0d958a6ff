package retry_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ballast-go/ballast/retry"
)

var errFlaky = errors.New("not now")

func newRetrier(t testing.TB, cfg retry.Config) *retry.Retrier {
	t.Helper()
	r, err := retry.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newBudget(t testing.TB, ratio float64, floor int) *retry.Budget {
	t.Helper()
	b, err := retry.NewBudget(retry.BudgetConfig{Ratio: ratio, Floor: floor})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A schedule waits for the given times, and then ends.
type schedule []time.Duration

func (s *schedule) NextBackOff() time.Duration {
	if len(*s) == 0 {
		return -1
	}
	d := (*s)[0]
	*s = (*s)[1:]
	return d
}

func (s *schedule) Reset() {}

// waits makes schedules of the given waits.
func waits(d ...time.Duration) func() retry.Backoff {
	return func() retry.Backoff {
		s := schedule(d)
		return &s
	}
}

// every makes schedules that wait for d before each retry.
func every(d time.Duration) func() retry.Backoff {
	return func() retry.Backoff { return constant(d) }
}

type constant time.Duration

func (c constant) NextBackOff() time.Duration { return time.Duration(c) }
func (c constant) Reset()                     {}

// A script fails as often as it has errors, and then succeeds. It counts calls.
type script struct {
	errs  []error
	calls int
}

func fails(n int) *script {
	s := new(script)
	for range n {
		s.errs = append(s.errs, errFlaky)
	}
	return s
}

func (s *script) run(context.Context) error {
	s.calls++
	if s.calls <= len(s.errs) {
		return s.errs[s.calls-1]
	}
	return nil
}

// givenUp checks that err is an *Error for the given reason.
func givenUp(t *testing.T, err, why error) *retry.Error {
	t.Helper()
	e, ok := errors.AsType[*retry.Error](err)
	if !ok || !errors.Is(err, why) || !errors.Is(e.Why, why) {
		t.Fatalf("error %v (%T): want a *retry.Error that is %v", err, err, why)
	}
	return e
}

// allNamed checks that err is one error for each of fields, with the prefix.
func allNamed(t *testing.T, err error, prefix string, fields ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error: want some about %v", fields)
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(fields) {
		t.Errorf("%d errors: want %d\n%v", len(lines), len(fields), err)
	}
	for i, line := range lines {
		if i < len(fields) && !strings.HasPrefix(line, prefix+fields[i]) {
			t.Errorf("%q: want it to begin with %q", line, prefix+fields[i])
		}
	}
}
