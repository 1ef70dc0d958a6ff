package retry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/retry"
)

func TestDo(t *testing.T) {
	permanent := retry.Permanent(errors.New("malformed"))
	tests := map[string]struct {
		cfg   retry.Config
		errs  []error
		calls int
		why   error // of the *Error
		same  error // the error itself
		stats retry.Stats
	}{
		"at once":              {calls: 1},
		"the second time":      {errs: []error{errFlaky}, calls: 2, stats: retry.Stats{Retries: 1, Recovered: 1}},
		"the third time":       {errs: []error{errFlaky, errFlaky}, calls: 3, stats: retry.Stats{Retries: 2, Recovered: 1}},
		"never":                {errs: fails(9).errs, calls: 3, why: retry.ErrExhausted, stats: retry.Stats{Retries: 2, Exhausted: 1}},
		"one attempt":          {cfg: retry.Config{MaxAttempts: 1}, errs: fails(9).errs, calls: 1, why: retry.ErrExhausted, stats: retry.Stats{Exhausted: 1}},
		"five attempts":        {cfg: retry.Config{MaxAttempts: 5}, errs: fails(9).errs, calls: 5, why: retry.ErrExhausted, stats: retry.Stats{Retries: 4, Exhausted: 1}},
		"short schedule":       {cfg: retry.Config{Backoff: waits(0)}, errs: fails(9).errs, calls: 2, why: retry.ErrExhausted, stats: retry.Stats{Retries: 1, Exhausted: 1}},
		"nil schedule":         {cfg: retry.Config{Backoff: func() retry.Backoff { return nil }}, errs: fails(9).errs, calls: 1, why: retry.ErrExhausted, stats: retry.Stats{Exhausted: 1}},
		"permanent":            {errs: []error{permanent}, calls: 1, same: permanent, stats: retry.Stats{Permanent: 1}},
		"permanent later":      {errs: []error{errFlaky, permanent}, calls: 2, same: permanent, stats: retry.Stats{Retries: 1, Permanent: 1}},
		"canceled elsewhere":   {errs: []error{context.Canceled}, calls: 1, same: context.Canceled, stats: retry.Stats{Permanent: 1}},
		"a timeout of its own": {errs: []error{context.DeadlineExceeded}, calls: 2, stats: retry.Stats{Retries: 1, Recovered: 1}},
		"asked, and no": {
			cfg:  retry.Config{Retryable: func(error) bool { return false }},
			errs: []error{errFlaky}, calls: 1, same: errFlaky, stats: retry.Stats{Permanent: 1},
		},
		"asked, and yes": {
			cfg:  retry.Config{Retryable: func(error) bool { return true }},
			errs: []error{context.Canceled}, calls: 2, stats: retry.Stats{Retries: 1, Recovered: 1},
		},
		"not asked what the error says": {
			cfg:  retry.Config{Retryable: func(error) bool { return false }},
			errs: []error{retry.After(0, errFlaky)}, calls: 2, stats: retry.Stats{Retries: 1, Recovered: 1},
		},
		"says yes, though canceled": {
			errs: []error{retry.After(0, context.Canceled)}, calls: 2, stats: retry.Stats{Retries: 1, Recovered: 1},
		},
		"over budget": {
			cfg:  retry.Config{MaxAttempts: 9, Budget: newBudget(t, 0.1, 2)},
			errs: fails(9).errs, calls: 3, why: retry.ErrBudget, stats: retry.Stats{Retries: 2, OverBudget: 1},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.cfg.Backoff == nil {
				test.cfg.Backoff = every(0)
			}
			r := newRetrier(t, test.cfg)
			s := &script{errs: test.errs}
			err := r.Do(t.Context(), s.run)
			switch {
			case test.same != nil:
				if err != test.same {
					t.Errorf("error %v: want %v itself", err, test.same)
				}
			case test.why != nil:
				if e := givenUp(t, err, test.why); e.Attempts != test.calls || !errors.Is(e, errFlaky) {
					t.Errorf("%#v: want %d attempts and their cause", e, test.calls)
				}
			case err != nil:
				t.Error(err)
			}
			if s.calls != test.calls {
				t.Errorf("called %d times: want %d", s.calls, test.calls)
			}
			if got := r.Stats(); got != test.stats {
				t.Errorf("stats %+v: want %+v", got, test.stats)
			}
		})
	}
}

// Call is Do, and returns what the last attempt did.
func TestCall(t *testing.T) {
	for failures := range 5 {
		for _, perAttempt := range []time.Duration{0, time.Hour} {
			t.Run(fmt.Sprint(failures, perAttempt), func(t *testing.T) {
				r := newRetrier(t, retry.Config{Backoff: every(0), PerAttempt: perAttempt})
				calls := 0
				v, err := retry.Call(t.Context(), r, func(context.Context) (int, error) {
					if calls++; calls <= failures {
						return -calls, errFlaky
					}
					return calls, nil
				})
				if want := failures + 1; failures < 3 && (v != want || err != nil) {
					t.Errorf("%v, %v: want %d", v, err, want)
				}
				if failures >= 3 {
					givenUp(t, err, retry.ErrExhausted)
					if v != -3 {
						t.Errorf("with the error comes %d: want the last attempt's -3", v)
					}
				}
			})
		}
	}
}

// The first attempt gets the caller's context, and the others know which they are.
func TestContexts(t *testing.T) {
	r := newRetrier(t, retry.Config{MaxAttempts: 4, Backoff: every(0)})
	var attempts []int
	err := r.Do(t.Context(), func(ctx context.Context) error {
		attempts = append(attempts, retry.Attempt(ctx))
		if first := len(attempts) == 1; first != (ctx == t.Context()) {
			t.Errorf("attempt %d has the caller's own context: %v", len(attempts), !first)
		}
		return errFlaky
	})
	if e := givenUp(t, err, retry.ErrExhausted); e.Attempts != 4 {
		t.Error(e)
	}
	if want := []int{1, 2, 3, 4}; !slices.Equal(attempts, want) {
		t.Errorf("attempts %v: want %v", attempts, want)
	}
}

// Waits are the schedule's, or longer if the error wants it.
func TestWaits(t *testing.T) {
	const s = time.Second
	tests := map[string]struct {
		cfg  retry.Config
		err  error
		want []time.Duration // between attempts
	}{
		"schedule":                {retry.Config{}, errFlaky, []time.Duration{s, 2 * s}},
		"longer":                  {retry.Config{}, retry.After(90*time.Minute, errFlaky), []time.Duration{90 * time.Minute, 90 * time.Minute}},
		"shorter":                 {retry.Config{}, retry.After(s+1, errFlaky), []time.Duration{s + 1, 2 * s}},
		"negative":                {retry.Config{}, rude{-1}, []time.Duration{s, 2 * s}},
		"least":                   {retry.Config{}, rude{-1 << 63}, []time.Duration{s, 2 * s}},
		"capped":                  {retry.Config{MaxDelay: 5 * s}, retry.After(86400*s, errFlaky), []time.Duration{5 * s, 5 * s}},
		"greatest":                {retry.Config{MaxDelay: 5 * s}, rude{1<<63 - 1}, []time.Duration{5 * s, 5 * s}},
		"cap below the schedule":  {retry.Config{MaxDelay: 1}, rude{1<<63 - 1}, []time.Duration{s, 2 * s}},
		"what it wraps has a say": {retry.Config{}, fmt.Errorf("wrapped: %w", retry.After(3*s, errFlaky)), []time.Duration{3 * s, 3 * s}},
		"the default cap":         {retry.Config{MaxDelay: 0}, rude{1<<63 - 1}, []time.Duration{30 * s, 30 * s}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if name != "the default cap" && test.cfg.MaxDelay == 0 {
				test.cfg.MaxDelay = 24 * time.Hour
			}
			synctest.Test(t, func(t *testing.T) {
				test.cfg.Backoff = waits(s, 2*s, 4*s)
				r := newRetrier(t, test.cfg)
				var got []time.Duration
				last := time.Now()
				err := r.Do(t.Context(), func(context.Context) error {
					got = append(got, time.Since(last))
					last = time.Now()
					return test.err
				})
				e := givenUp(t, err, retry.ErrExhausted)
				if got = got[1:]; !slices.Equal(got, test.want) {
					t.Errorf("waits %v: want %v", got, test.want)
				}
				if d := e.RetryDelay(); d < 0 {
					t.Errorf("the *Error's RetryDelay is %v", d)
				}
			})
		})
	}
}

// rude is an error with any RetryDelay at all.
type rude struct{ d time.Duration }

func (r rude) Error() string             { return "rude" }
func (r rude) RetryDelay() time.Duration { return r.d }

// The ctx that ends before the next attempt ends the call, at once.
func TestNeverWaitsPastTheDeadline(t *testing.T) {
	for _, err := range []error{errFlaky, retry.After(time.Minute, errFlaky)} {
		synctest.Test(t, func(t *testing.T) {
			r := newRetrier(t, retry.Config{MaxAttempts: 10, Backoff: every(30 * time.Second)})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			begun := time.Now()
			got := r.Do(ctx, func(context.Context) error { return err })
			e := givenUp(t, got, context.DeadlineExceeded)
			if !errors.Is(got, errFlaky) {
				t.Errorf("%v: want the cause as well", got)
			}
			// At 30 s, and no second wait that would end just at the deadline.
			want := 30 * time.Second * time.Duration(e.Attempts-1)
			if took := time.Since(begun); took != want || e.Attempts > 2 {
				t.Errorf("returned after %v and %d attempts: want %v", took, e.Attempts, want)
			}
			if n := r.Stats().OutOfTime; n != 1 {
				t.Errorf("OutOfTime is %d", n)
			}
			if spent := r.Budget().Stats().Spent; spent != uint64(e.Attempts-1) {
				t.Errorf("%d of the budget is spent for %d retries", spent, e.Attempts-1)
			}
		})
	}
}

// A deadline that has passed counts before the context's timer has fired.
func TestDeadlineThatHasPassed(t *testing.T) {
	r := newRetrier(t, retry.Config{Backoff: every(0)})
	s := fails(9)
	givenUp(t, r.Do(overdue{t.Context()}, s.run), context.DeadlineExceeded)
	if s.calls != 1 {
		t.Errorf("%d calls", s.calls)
	}
}

type overdue struct{ context.Context }

func (overdue) Deadline() (time.Time, bool) { return time.Now().Add(-1), true }

// The zero Config waits up to 100 ms, and then up to 200 ms.
func TestDefaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrier(t, retry.Config{})
		var longest [2]time.Duration
		for range 300 {
			last, calls := time.Now(), 0
			err := r.Do(t.Context(), func(context.Context) error {
				if calls > 0 {
					longest[calls-1] = max(longest[calls-1], time.Since(last))
				}
				last = time.Now()
				calls++
				if calls == 3 {
					return nil
				}
				return errFlaky
			})
			if err != nil && !errors.Is(err, retry.ErrBudget) || calls > 3 {
				t.Fatalf("%v after %d calls", err, calls)
			}
			for range 20 {
				_ = r.Do(t.Context(), fails(0).run)
			}
		}
		for i, most := range []time.Duration{100 * time.Millisecond, 200 * time.Millisecond} {
			if longest[i] > most || longest[i] < most*9/10 {
				t.Errorf("the longest of 300 waits before retry %d is %v: want up to %v", i+1, longest[i], most)
			}
		}
		if s := r.Budget().Stats(); s.Capacity != 10 {
			t.Errorf("its own budget: %+v", s)
		}
	})
}

func TestCanceledWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("the user has pressed escape")
		r := newRetrier(t, retry.Config{Backoff: every(time.Hour)})
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(why) })
		begun := time.Now()
		s := fails(9)
		err := r.Do(ctx, s.run)
		givenUp(t, err, context.Canceled)
		if !errors.Is(err, why) || !errors.Is(err, errFlaky) {
			t.Errorf("%v: want the context's cause and the attempt's", err)
		}
		if took := time.Since(begun); took != time.Minute || s.calls != 1 {
			t.Errorf("%d calls in %v", s.calls, took)
		}
		if got := r.Stats(); got != (retry.Stats{OutOfTime: 1}) {
			t.Errorf("stats %+v", got)
		}
	})
}

func TestPerAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrier(t, retry.Config{Backoff: every(0), PerAttempt: time.Second})
		var contexts []context.Context
		begun := time.Now()
		hang := func(ctx context.Context) error {
			contexts = append(contexts, ctx)
			<-ctx.Done()
			return ctx.Err()
		}
		err := r.Do(t.Context(), hang)
		e := givenUp(t, err, retry.ErrExhausted)
		if e.Attempts != 3 || time.Since(begun) != 3*time.Second {
			t.Errorf("%d attempts in %v", e.Attempts, time.Since(begun))
		}
		for i, ctx := range contexts {
			if cause := context.Cause(ctx); cause != retry.ErrAttemptTimeout {
				t.Errorf("attempt %d: cause %v", i, cause)
			}
			if err := e.Causes[i]; !errors.Is(err, retry.ErrAttemptTimeout) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("attempt %d: error %v", i, err)
			}
		}

		// A function that says so itself is not said twice.
		err = r.Do(t.Context(), func(ctx context.Context) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		if e := givenUp(t, err, retry.ErrExhausted); e.Causes[0] != retry.ErrAttemptTimeout {
			t.Errorf("%v", e.Causes)
		}

		// The caller's deadline is its own, and comes first.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		if err := r.Do(ctx, hang); err != context.DeadlineExceeded {
			t.Errorf("error %v: want the context's", err)
		}

		// An attempt's context ends with it.
		contexts = nil
		if err := r.Do(t.Context(), func(ctx context.Context) error {
			contexts = append(contexts, ctx)
			return nil
		}); err != nil {
			t.Error(err)
		}
		if contexts[0].Err() != context.Canceled {
			t.Errorf("afterwards the attempt's context says %v", contexts[0].Err())
		}
	})
}

func TestNested(t *testing.T) {
	r := newRetrier(t, retry.Config{Backoff: every(0), MaxAttempts: 4})
	s := fails(9)
	err := r.Do(retry.ContextWithAttempt(t.Context(), 2), s.run)
	e := givenUp(t, err, retry.ErrNested)
	if s.calls != 1 || !e.Retryable() || !errors.Is(err, errFlaky) {
		t.Errorf("%d calls, %v, retryable: %v", s.calls, err, e.Retryable())
	}
	if got := r.Stats(); got != (retry.Stats{Nested: 1}) || r.Budget().Stats().Spent != 0 {
		t.Errorf("stats %+v, budget %+v", got, r.Budget().Stats())
	}

	// One inside the other: the inner one's attempts end the outer's, and are
	// not multiplied.
	s, outer := fails(99), newRetrier(t, retry.Config{Backoff: every(0)})
	err = outer.Do(t.Context(), func(ctx context.Context) error { return r.Do(ctx, s.run) })
	if s.calls != 4 || !errors.Is(err, retry.ErrExhausted) {
		t.Errorf("%d calls, %v: want 4", s.calls, err)
	}

	// If the outer one retries for another reason, the inner one leaves it to it.
	s = fails(99)
	err = outer.Do(t.Context(), func(ctx context.Context) error {
		if retry.Attempt(ctx) == 1 {
			return errFlaky
		}
		return r.Do(ctx, s.run)
	})
	if s.calls != 2 || !errors.Is(err, retry.ErrExhausted) {
		t.Errorf("%d calls, %v: want 2", s.calls, err)
	}
}

func TestAttempt(t *testing.T) {
	ctx := t.Context()
	if n := retry.Attempt(ctx); n != 1 {
		t.Errorf("of no call: %d", n)
	}
	for _, n := range []int{-1, 0, 1} {
		if retry.ContextWithAttempt(ctx, n) != ctx {
			t.Errorf("%d: another context", n)
		}
	}
	third := retry.ContextWithAttempt(ctx, 3)
	if n := retry.Attempt(third); n != 3 {
		t.Errorf("the third: %d", n)
	}
	if n := retry.Attempt(retry.ContextWithAttempt(third, 1)); n != 1 {
		t.Errorf("with the mark off: %d", n)
	}
}

func TestConfigErrors(t *testing.T) {
	_, err := retry.New(retry.Config{MaxAttempts: 101, PerAttempt: -1, MaxDelay: -1})
	allNamed(t, err, "retry: Config.", "MaxAttempts", "PerAttempt", "MaxDelay")
	_, err = retry.New(retry.Config{MaxAttempts: -1})
	allNamed(t, err, "retry: Config.", "MaxAttempts")
	if r, err := retry.New(retry.Config{Name: "n", MaxAttempts: 100}); err != nil || r.Name() != "n" {
		t.Error(r, err)
	}
}
