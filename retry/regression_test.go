package retry_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/cenkalti/backoff/v4"

	"github.com/ballast-go/ballast/retry"
)

// A context that has ended: fn never runs, nothing is counted or paid, and the
// error is both the context's and its cause.
func TestDeadContext(t *testing.T) {
	why := errors.New("shutting down")
	canceled, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	late, cancelLate := context.WithDeadlineCause(t.Context(), time.Unix(0, 0), why)
	defer cancelLate()
	plain, cancelPlain := context.WithCancel(t.Context())
	cancelPlain()
	for _, perAttempt := range []time.Duration{0, time.Hour} {
		r := newRetrier(t, retry.Config{PerAttempt: perAttempt})
		never := func(context.Context) error { t.Error("fn is called"); return nil }
		for _, test := range []struct {
			ctx  context.Context
			want []error
		}{
			{canceled, []error{context.Canceled, why}},
			{late, []error{context.DeadlineExceeded, why}},
			{plain, []error{context.Canceled}},
		} {
			err := r.Do(test.ctx, never)
			v, errOfCall := retry.Call(test.ctx, r, func(ctx context.Context) (string, error) { return "v", never(ctx) })
			for _, want := range test.want {
				if !errors.Is(err, want) || !errors.Is(errOfCall, want) {
					t.Errorf("Do %v, Call %v: want %v", err, errOfCall, want)
				}
			}
			if v != "" {
				t.Errorf("a value: %q", v)
			}
		}
		if got := r.Stats(); got != (retry.Stats{}) {
			t.Errorf("stats %+v", got)
		}
		if err := r.Do(plain, never); err != context.Canceled {
			t.Errorf("%v: want context.Canceled itself, as there is no other cause", err)
		}
	}
}

// The context ends while an attempt runs: what the attempt says is not lost.
func TestContextEndsInAnAttempt(t *testing.T) {
	why := errors.New("the client hung up")
	for _, said := range []error{errFlaky, context.Canceled, retry.Permanent(errFlaky)} {
		for last := 1; last <= 2; last++ {
			ctx, cancel := context.WithCancelCause(t.Context())
			r := newRetrier(t, retry.Config{Backoff: every(0)})
			calls := 0
			err := r.Do(ctx, func(context.Context) error {
				if calls++; calls < last {
					return errFlaky
				}
				cancel(why)
				return said
			})
			for _, want := range []error{context.Canceled, why, said} {
				if !errors.Is(err, want) {
					t.Errorf("%v in attempt %d: %v is not %v", said, last, err, want)
				}
			}
			if e := givenUp(t, err, why); e.Attempts != last || calls != last || e.Retryable() {
				t.Errorf("%v in attempt %d: %#v after %d calls", said, last, e, calls)
			}
			if n := r.Stats().OutOfTime; n != 1 {
				t.Errorf("OutOfTime is %d", n)
			}
		}
	}
}

// The first attempt's error says all there is when it is the context's; a later
// one's would lose the causes before it.
func TestCanceledInAnAttempt(t *testing.T) {
	for last := 1; last <= 2; last++ {
		ctx, cancel := context.WithCancel(t.Context())
		r := newRetrier(t, retry.Config{Backoff: every(0)})
		calls := 0
		err := r.Do(ctx, func(context.Context) error {
			if calls++; calls < last {
				return errFlaky
			}
			cancel()
			return context.Canceled
		})
		if last == 1 && err != context.Canceled {
			t.Errorf("%v (%T): want context.Canceled itself", err, err)
		}
		if last == 2 && !errors.Is(givenUp(t, err, context.Canceled), errFlaky) {
			t.Errorf("%v: want the first attempt's error as well", err)
		}
	}
}

// The context ends in one of our own hooks: fn is not called again, though there
// is nothing to wait for.
func TestContextEndsInAHook(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := newRetrier(t, retry.Config{Backoff: func() retry.Backoff {
		cancel()
		return constant(0)
	}})
	s := fails(1)
	givenUp(t, r.Do(ctx, s.run), context.Canceled)
	if s.calls != 1 {
		t.Errorf("%d calls", s.calls)
	}
}

// Panics, aborts and Goexit go through, on whatever attempt. The budget has
// been paid for what was done, and takes the next call.
func TestExits(t *testing.T) {
	exits := map[string]func(){
		"panic":  func() { panic("boom") },
		"abort":  func() { panic(http.ErrAbortHandler) },
		"nil":    func() { panic(nil) }, // runtime.PanicNilError
		"Goexit": runtime.Goexit,
	}
	for name, exit := range exits {
		for attempt := 1; attempt <= 3; attempt++ {
			for _, perAttempt := range []time.Duration{0, time.Hour} {
				t.Run(fmt.Sprint(name, attempt, perAttempt), func(t *testing.T) {
					r := newRetrier(t, retry.Config{Backoff: every(0), PerAttempt: perAttempt, Budget: newBudget(t, 0.5, 10)})
					var last context.Context
					calls := 0
					returned, value := outcome(func() {
						_ = r.Do(t.Context(), func(ctx context.Context) error {
							last = ctx
							if calls++; calls == attempt {
								exit()
							}
							return errFlaky
						})
					})
					if returned || calls != attempt {
						t.Errorf("returned: %v, after %d calls", returned, calls)
					}
					if name == "abort" && value != http.ErrAbortHandler {
						t.Errorf("panicked with %v", value)
					}
					if (value == nil) != (name == "Goexit") {
						t.Errorf("panicked with %v", value)
					}
					if perAttempt > 0 && last.Err() == nil {
						t.Error("the attempt's context lives, and its timer")
					}
					want := retry.BudgetStats{Tokens: float64(11 - attempt), Capacity: 10, Spent: uint64(attempt - 1)}
					if got := r.Budget().Stats(); got != want {
						t.Errorf("budget %+v: want %+v", got, want)
					}
					if got := r.Stats(); got != (retry.Stats{Retries: uint64(attempt - 1)}) {
						t.Errorf("stats %+v", got)
					}
					if err := r.Do(t.Context(), fails(0).run); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
}

// outcome runs f in a goroutine of its own and says how it ended: a value of nil
// without a return is a Goexit.
func outcome(f func()) (returned bool, value any) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if !returned {
				value = recover()
			}
		}()
		f()
		returned = true
	}()
	<-done
	return returned, value
}

// What the configuration's functions do wrong is the caller's to see, and takes
// nothing from the budget.
func TestHooksThatPanic(t *testing.T) {
	for name, cfg := range map[string]retry.Config{
		"Backoff":     {Backoff: func() retry.Backoff { panic("boom") }},
		"NextBackOff": {Backoff: func() retry.Backoff { return explosive{} }},
		"Retryable":   {Retryable: func(error) bool { panic("boom") }},
	} {
		r := newRetrier(t, cfg)
		if returned, value := outcome(func() { _ = r.Do(t.Context(), fails(1).run) }); returned || value != "boom" {
			t.Errorf("%s: returned: %v, panicked with %v", name, returned, value)
		}
		if got := r.Budget().Stats(); got.Tokens != got.Capacity || got.Spent != 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

type explosive struct{}

func (explosive) NextBackOff() time.Duration { panic("boom") }
func (explosive) Reset()                     {}

// An error may be a nil pointer, and its methods are called as they are on others.
func TestTypedNilError(t *testing.T) {
	r := newRetrier(t, retry.Config{Backoff: every(0)})
	for _, says := range []bool{true, false} {
		var nilError *sayer
		var nilFirm *firm
		calls := 0
		err := r.Do(t.Context(), func(context.Context) error {
			calls++
			if says {
				return nilError
			}
			return nilFirm
		})
		if says {
			givenUp(t, err, retry.ErrExhausted)
		} else if err != error(nilFirm) || calls != 1 {
			t.Errorf("%v after %d calls", err, calls)
		}
	}
}

type sayer struct{}

func (s *sayer) Error() string   { return fmt.Sprint("nil: ", s == nil) }
func (s *sayer) Retryable() bool { return s == nil }

type firm struct{}

func (f *firm) Error() string   { return fmt.Sprint("nil: ", f == nil) }
func (f *firm) Retryable() bool { return f != nil }

// Of a hundred attempts, the last eight errors are kept, and of each text little.
func TestErrorsAreBounded(t *testing.T) {
	r := newRetrier(t, retry.Config{
		Name: strings.Repeat("é", 1e6), MaxAttempts: 100, Backoff: every(0), Budget: newBudget(t, 1, 1000),
	})
	n := 0
	err := r.Do(t.Context(), func(context.Context) error {
		n++
		return numbered{n}
	})
	e := givenUp(t, err, retry.ErrExhausted)
	if e.Attempts != 100 || len(e.Causes) != 8 || cap(e.Causes) > 8 {
		t.Errorf("%d attempts, %d causes, capacity %d", e.Attempts, len(e.Causes), cap(e.Causes))
	}
	for i, cause := range e.Causes {
		if cause != (numbered{93 + i}) {
			t.Errorf("cause %d is attempt %d's", i, cause.(numbered).n)
		}
	}
	if text := err.Error(); len(text) > 1200 || !utf8.ValidString(text) || !strings.HasPrefix(text, "retry: all attempts failed") {
		t.Errorf("%d bytes: %.80q", len(text), text)
	}
}

type numbered struct{ n int }

func (n numbered) Error() string { return strings.Repeat("é", 1e5) }

// Schedules of cenkalti/backoff/v4 fit as they are, a literal too.
func TestSchedulesOfV4(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, schedule := range map[string]func() retry.Backoff{
			"exponential": func() retry.Backoff { return backoff.NewExponentialBackOff() },
			"literal": func() retry.Backoff {
				return &backoff.ExponentialBackOff{InitialInterval: time.Second, Multiplier: 2, MaxInterval: time.Minute,
					Clock: backoff.SystemClock, Stop: backoff.Stop}
			},
			"constant": func() retry.Backoff { return backoff.NewConstantBackOff(time.Second) },
			"bounded":  func() retry.Backoff { return backoff.WithMaxRetries(backoff.NewConstantBackOff(time.Second), 5) },
		} {
			r := newRetrier(t, retry.Config{Backoff: schedule, MaxAttempts: 4})
			begun, s := time.Now(), fails(3)
			if err := r.Do(t.Context(), s.run); err != nil || s.calls != 4 {
				t.Errorf("%s: %v after %d calls", name, err, s.calls)
			}
			if name == "literal" && time.Since(begun) != 7*time.Second {
				t.Errorf("a literal, which needs Reset: %v", time.Since(begun))
			}
		}
		r := newRetrier(t, retry.Config{Backoff: func() retry.Backoff { return &backoff.StopBackOff{} }})
		givenUp(t, r.Do(t.Context(), fails(1).run), retry.ErrExhausted)
	})
}

// A retry earns no budget by what it calls itself: with a Ratio of 1 each would
// pay for the next, and the budget would never be empty.
func TestRetriesEarnNothing(t *testing.T) {
	b := newBudget(t, 1, 3)
	h, err := retry.NewHedger(retry.HedgeConfig{Budget: b})
	if err != nil {
		t.Fatal(err)
	}
	outer := newRetrier(t, retry.Config{MaxAttempts: 50, Backoff: every(0), Budget: b})
	inner := newRetrier(t, retry.Config{Budget: b, Retryable: func(error) bool { return false }})
	for name, fn := range map[string]func(context.Context) error{
		"Do": func(ctx context.Context) error {
			return inner.Do(ctx, func(context.Context) error { return errFlaky })
		},
		"Hedge": func(ctx context.Context) error {
			_, err := retry.Hedge(ctx, h, func(context.Context) (int, error) { return 0, errFlaky }, nil)
			return err
		},
	} {
		before := b.Stats()
		givenUp(t, outer.Do(t.Context(), fn), retry.ErrBudget)
		// A share of the outer call's, and one of its first attempt's.
		if n := b.Stats().Spent - before.Spent; float64(n) > before.Tokens+2 {
			t.Errorf("%s: %d retries of one call; there was budget for %v", name, n, before.Tokens)
		}
	}
}

// The delay follows latency that becomes ten times as long as soon as one call in
// 20 of the last 128 shows it, and comes back when they are forgotten.
func TestDelayFollowsTheLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := retry.NewHedger(retry.HedgeConfig{})
		if err != nil {
			t.Fatal(err)
		}
		const fast, slow = 10 * time.Millisecond, 100 * time.Millisecond
		until := func(latency time.Duration) (calls int) {
			for ; h.Stats().Delay != latency && calls < 1000; calls++ {
				if _, err := retry.Hedge(t.Context(), h, func(context.Context) (int, error) {
					<-time.After(latency)
					return 0, nil
				}, nil); err != nil {
					t.Fatal(err)
				}
			}
			return calls
		}
		until(fast)
		if n := until(slow); n > 32 {
			t.Errorf("it took %d calls to become patient", n)
		}
		if n := until(fast); n > 160 {
			t.Errorf("it took %d calls to become impatient", n)
		}
		t.Logf("%+v", h.Stats())
	})
}

// What ends with its attempt's time may call that a cancel: it is ours, and no
// reason to give up.
func TestAttemptTimeoutThatIsCalledACancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		err := newRetrier(t, retry.Config{PerAttempt: time.Second}).Do(t.Context(), func(ctx context.Context) error {
			calls++
			<-ctx.Done()
			return context.Canceled
		})
		if givenUp(t, err, retry.ErrExhausted); calls != 3 {
			t.Errorf("%d calls", calls)
		}
	})
}
