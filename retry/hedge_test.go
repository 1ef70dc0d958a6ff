package retry_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/retry"
)

const usual = 100 * time.Millisecond // the latency that warm has observed

// newHedger returns one that knows that calls take usual, and is closed by the
// end of the test.
func newHedger(t *testing.T, cfg retry.HedgeConfig) *retry.Hedger {
	t.Helper()
	h, err := retry.NewHedger(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for range 32 {
		_, err := retry.Hedge(t.Context(), h, func(context.Context) (int, error) {
			pass(usual)
			return 0, nil
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return h
}

// pass lets virtual time pass.
func pass(d time.Duration) { <-time.After(d) }

// hangs waits until ctx ends.
func hangs(ctx context.Context) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

// fork is a function that does another thing in each attempt.
func fork(attempts ...func(context.Context) (int, error)) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) { return attempts[retry.Attempt(ctx)-1](ctx) }
}

// after returns v and err after d, whatever ctx says.
func after(d time.Duration, v int, err error) func(context.Context) (int, error) {
	return func(context.Context) (int, error) {
		pass(d)
		return v, err
	}
}

func TestHedge(t *testing.T) {
	errOther := errors.New("nor now")
	tests := map[string]struct {
		fn    func(context.Context) (int, error)
		v     int
		errs  []error // that the error is; its text is theirs
		took  time.Duration
		stats retry.HedgeStats // beyond those of warm
	}{
		"fast":                       {fn: fork(after(usual/2, 1, nil)), v: 1, took: usual / 2},
		"slow":                       {fn: fork(hangs, after(usual/4, 2, nil)), v: 2, took: usual * 5 / 4, stats: retry.HedgeStats{Hedges: 1, Wins: 1}},
		"slow, but first":            {fn: fork(after(usual*2, 1, nil), hangs), v: 1, took: usual * 2, stats: retry.HedgeStats{Hedges: 1}},
		"fails before":               {fn: fork(after(usual/2, 1, errFlaky)), errs: []error{errFlaky}, took: usual / 2},
		"fails while another runs":   {fn: fork(after(usual*2, 1, errFlaky), after(usual*3, 2, nil)), v: 2, took: usual * 4, stats: retry.HedgeStats{Hedges: 1, Wins: 1}},
		"the hedge fails":            {fn: fork(after(usual*3, 1, nil), after(usual, 2, errFlaky)), v: 1, took: usual * 3, stats: retry.HedgeStats{Hedges: 1}},
		"all fail":                   {fn: fork(after(usual*2, 1, errFlaky), after(usual*3, 2, errOther)), errs: []error{errFlaky, errOther}, took: usual * 4, stats: retry.HedgeStats{Hedges: 1}},
		"all fail, the second first": {fn: fork(after(usual*4, 1, errFlaky), after(usual, 2, errOther)), errs: []error{errFlaky, errOther}, took: usual * 4, stats: retry.HedgeStats{Hedges: 1}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHedger(t, retry.HedgeConfig{})
				begun := time.Now()
				v, err := retry.Hedge(t.Context(), h, test.fn, nil)
				if took := time.Since(begun); took != test.took {
					t.Errorf("took %v: want %v", took, test.took)
				}
				if v != test.v || (err == nil) != (test.errs == nil) {
					t.Errorf("%v, %v: want %v, %v", v, err, test.v, test.errs)
				}
				if len(test.errs) == 1 && err != test.errs[0] {
					t.Errorf("%v: want the only error itself", err)
				}
				if want := errors.Join(test.errs...); want != nil && err.Error() != want.Error() {
					t.Errorf("%v: want them all, in the order of attempts", err)
				}
				test.stats.Calls, test.stats.Delay = 33, usual
				synctest.Wait()
				if got := h.Stats(); got != test.stats {
					t.Errorf("stats %+v: want %+v", got, test.stats)
				}
			})
		})
	}
}

// Before 32 calls nothing is known, and nothing hedged. Contexts end all the
// same: what depends on them fails from the first call.
func TestHedgeLearnsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := retry.NewHedger(retry.HedgeConfig{Name: "n", MinDelay: 2 * usual, MaxDelay: 3 * usual})
		if err != nil || h.Name() != "n" {
			t.Fatal(h, err)
		}
		var last context.Context
		call := func(d time.Duration, err error) {
			_, got := retry.Hedge(t.Context(), h, func(ctx context.Context) (int, error) {
				last = ctx
				pass(d)
				return 1, err
			}, nil)
			if got != err || last.Err() == nil {
				t.Errorf("error %v, the context's %v", got, last.Err())
			}
		}
		for range 31 {
			call(time.Minute, nil)
		}
		for range 100 {
			call(time.Minute, errFlaky)
		}
		if s := h.Stats(); s != (retry.HedgeStats{Calls: 131}) {
			t.Errorf("%+v: want nothing from 31 successes", s)
		}
		call(time.Minute, nil)
		if s := h.Stats(); s.Delay != 3*usual {
			t.Errorf("%+v: want MaxDelay", s)
		}
		for range 128 {
			call(1, nil)
		}
		if s := h.Stats(); s.Delay != 2*usual {
			t.Errorf("%+v: want MinDelay", s)
		}
	})
}

// Several hedges, each a delay after the one before, until all are made.
func TestMaxHedges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHedger(t, retry.HedgeConfig{MaxHedges: 3})
		begun := time.Now()
		var mu sync.Mutex
		var starts []time.Duration
		var contexts []context.Context
		ctx, cancel := context.WithTimeout(t.Context(), 10*usual)
		defer cancel()
		v, err := retry.Hedge(ctx, h, func(ctx context.Context) (int, error) {
			mu.Lock()
			starts = append(starts, time.Since(begun))
			contexts = append(contexts, ctx)
			if n := len(contexts); retry.Attempt(ctx) != n {
				t.Errorf("attempt %d says it is %d", n, retry.Attempt(ctx))
			}
			mu.Unlock()
			return hangs(ctx)
		}, nil)
		if v != 0 || err != context.DeadlineExceeded {
			t.Errorf("%v, %v", v, err)
		}
		mu.Lock()
		defer mu.Unlock()
		if want := []time.Duration{0, usual, 2 * usual, 3 * usual}; !slices.Equal(starts, want) {
			t.Errorf("calls at %v: want %v", starts, want)
		}
		synctest.Wait()
		if s := h.Stats(); s.Hedges != 3 || s.Wins != 0 || s.Running != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Losers' contexts are canceled, and the winner's too when Hedge returns. What a
// loser returns is discarded.
func TestHedgeLosers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHedger(t, retry.HedgeConfig{MaxHedges: 2})
		var contexts [3]atomic.Value
		release := make(chan struct{})
		var discarded []int
		v, err := retry.Hedge(t.Context(), h, func(ctx context.Context) (int, error) {
			n := retry.Attempt(ctx)
			contexts[n-1].Store(&ctx)
			switch n {
			case 1:
				<-release // does not heed its context
				return 1, nil
			case 2:
				<-ctx.Done()
				return 2, ctx.Err()
			}
			return 3, nil
		}, func(v int) { discarded = append(discarded, v) })
		if v != 3 || err != nil {
			t.Errorf("%v, %v", v, err)
		}
		for i := range contexts {
			if ctx := *contexts[i].Load().(*context.Context); ctx.Err() != context.Canceled {
				t.Errorf("attempt %d's context: %v", i+1, ctx.Err())
			}
		}
		synctest.Wait()
		if s := h.Stats(); s.Running != 1 || s.Wins != 1 {
			t.Errorf("%+v: want the first call to run", s)
		}
		close(release)
		synctest.Wait()
		if s := h.Stats(); s.Running != 0 || !slices.Equal(discarded, []int{1}) {
			t.Errorf("%+v, discarded %v", s, discarded)
		}
	})
}

func TestHedgerClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHedger(t, retry.HedgeConfig{Name: "models"})
		for range 2 {
			if _, err := retry.Hedge(t.Context(), h, fork(after(time.Hour, 1, nil), after(1, 2, nil)), nil); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := h.Close(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || err.Error() != `retry: hedger "models": calls still running: 2: context deadline exceeded` {
			t.Errorf("Close: %v", err)
		}
		// Closed, it hedges no more, and goes on calling.
		if v, err := retry.Hedge(t.Context(), h, fork(after(10*usual, 1, nil)), nil); v != 1 || err != nil {
			t.Errorf("after Close: %v, %v", v, err)
		}
		begun := time.Now()
		go func() {
			if err := h.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		if err := h.Close(t.Context()); err != nil || time.Since(begun) < time.Hour/2 {
			t.Errorf("Close: %v after %v", err, time.Since(begun))
		}
		if err := h.Close(ctx); err != nil {
			t.Errorf("Close with nothing to wait for: %v", err)
		}
	})
}

// A call under way when its Hedger is closed gets no hedge, and is waited for.
func TestHedgerCloseDuringACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHedger(t, retry.HedgeConfig{})
		begun := time.Now()
		go func() {
			if v, err := retry.Hedge(t.Context(), h, fork(after(2*usual, 1, nil)), nil); v != 1 || err != nil {
				t.Errorf("%v, %v", v, err)
			}
		}()
		synctest.Wait()
		if err := h.Close(t.Context()); err != nil || time.Since(begun) != 2*usual {
			t.Errorf("Close: %v after %v", err, time.Since(begun))
		}
		synctest.Wait()
		if s := h.Stats(); s.Hedges != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// When the caller's context ends, Hedge does not wait for functions that do not care.
func TestHedgeContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("escape")
		for _, failing := range []bool{false, true} {
			h := newHedger(t, retry.HedgeConfig{Name: "models"})
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(3*usual, func() { cancel(why) })
			begun := time.Now()
			first := after(time.Hour, 1, nil)
			if failing {
				first = after(2*usual, 0, errFlaky)
			}
			var discarded atomic.Int64
			_, err := retry.Hedge(ctx, h, fork(first, after(time.Hour, 2, nil)), func(int) { discarded.Add(1) })
			if took := time.Since(begun); took != 3*usual {
				t.Errorf("took %v", took)
			}
			if !errors.Is(err, why) || !errors.Is(err, context.Canceled) {
				t.Errorf("%v: want %v", err, why)
			}
			if e, ok := errors.AsType[*retry.Error](err); ok != failing || ok && (e.Attempts != 2 || !errors.Is(e, errFlaky)) {
				t.Errorf("%#v: want an *Error only if something has failed: %v", err, failing)
			}
			if err := h.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if want := map[bool]int64{false: 2, true: 1}[failing]; discarded.Load() != want {
				t.Errorf("%d results discarded: want %d", discarded.Load(), want)
			}
		}

		h := newHedger(t, retry.HedgeConfig{})
		dead, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		_, err := retry.Hedge(dead, h, func(context.Context) (int, error) { t.Error("called"); return 0, nil }, nil)
		if !errors.Is(err, why) || !errors.Is(err, context.Canceled) || h.Stats().Calls != 32 {
			t.Errorf("%v, %+v", err, h.Stats())
		}
	})
}

// What serves a retry is not hedged, and what a hedge calls is not retried.
func TestHedgeAndRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHedger(t, retry.HedgeConfig{})
		ctx := retry.ContextWithAttempt(t.Context(), 2)
		if v, err := retry.Hedge(ctx, h, after(10*usual, 1, nil), nil); v != 1 || err != nil || h.Stats().Hedges != 0 {
			t.Errorf("%v, %v, %+v", v, err, h.Stats())
		}
		r := newRetrier(t, retry.Config{Backoff: every(0)})
		down := fails(99)
		_, err := retry.Hedge(t.Context(), h, fork(hangs, func(ctx context.Context) (int, error) {
			err := r.Do(ctx, down.run)
			if !errors.Is(err, retry.ErrNested) {
				t.Errorf("in a hedge: %v", err)
			}
			return 0, nil
		}), nil)
		if err != nil || down.calls != 1 {
			t.Errorf("%v after %d calls", err, down.calls)
		}
	})
}

// Each call pays in, and each hedge takes one out.
func TestHedgeBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(t, 0.25, 2)
		h := newHedger(t, retry.HedgeConfig{Budget: b})
		for range 14 { // after 16 more it would have learnt
			if _, err := retry.Hedge(t.Context(), h, fork(after(2*usual, 1, nil), hangs), nil); err != nil {
				t.Fatal(err)
			}
		}
		s := h.Stats()
		if s.Hedges != 5 || s.OverBudget != 9 || b.Stats().Spent != 5 || b.Stats().Denied != 9 {
			t.Errorf("%+v, %+v: want 2, and a quarter of the 13 calls since", s, b.Stats())
		}
	})
}

// Losers that are cut short must not make the delay shrink: that would hedge
// more, and cut more short, until everything is hedged. Were they left out here,
// the delay would go down to 20 ms, where 0.8 of what is seen is what is cut.
func TestDelayDoesNotDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHedger(t, retry.HedgeConfig{Quantile: 0.8, Budget: newBudget(t, 1, 100)})
		const calls = 2000
		for n := range calls {
			// First calls take 1 to 100 ms, one as often as the other; hedges 5.
			d := time.Duration(n*37%100+1) * time.Millisecond
			first := func(ctx context.Context) (int, error) {
				select {
				case <-ctx.Done():
					return 0, ctx.Err()
				case <-time.After(d):
					return 1, nil
				}
			}
			if _, err := retry.Hedge(t.Context(), h, fork(first, after(5*time.Millisecond, 2, nil)), nil); err != nil {
				t.Fatal(err)
			}
		}
		s := h.Stats()
		if s.Delay < 70*time.Millisecond || s.Delay > 90*time.Millisecond {
			t.Errorf("the delay is %v: want the quantile, about 80 ms", s.Delay)
		}
		if s.Hedges < calls/10 || s.Hedges > calls*3/10 {
			t.Errorf("%d of %d calls were hedged: want a fifth", s.Hedges, calls)
		}
	})
}

// A call whose caller leaves early says nothing of how long it would have taken;
// one whose caller leaves late was slow.
func TestWhatCanceledCallsTeach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHedger(t, retry.HedgeConfig{MaxHedges: 8, MaxDelay: time.Hour})
		leave := func(after time.Duration) {
			for range 128 {
				ctx, cancel := context.WithTimeout(t.Context(), after)
				if _, err := retry.Hedge(ctx, h, hangs, nil); err != context.DeadlineExceeded {
					t.Error(err)
				}
				cancel()
			}
		}
		leave(usual / 100)
		if d := h.Stats().Delay; d != usual {
			t.Errorf("after callers who left early: %v", d)
		}
		leave(2 * usual)
		if d := h.Stats().Delay; d != 2*usual {
			t.Errorf("after callers who left late: %v", d)
		}
	})
}

// Once one has failed, those that run are waited for, and no more are started.
func TestNoHedgeAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHedger(t, retry.HedgeConfig{MaxHedges: 2})
		v, err := retry.Hedge(t.Context(), h, fork(after(usual*3/2, 1, errFlaky), after(4*usual, 2, nil)), nil)
		if v != 2 || err != nil || h.Stats().Hedges != 1 {
			t.Errorf("%v, %v, %+v", v, err, h.Stats())
		}
	})
}

func TestHedgeConfigErrors(t *testing.T) {
	_, err := retry.NewHedger(retry.HedgeConfig{Quantile: 1, MinDelay: -1, MaxDelay: -1, MaxHedges: 9})
	allNamed(t, err, "retry: HedgeConfig.", "Quantile", "MinDelay", "MaxDelay", "MaxHedges")
	_, err = retry.NewHedger(retry.HedgeConfig{MinDelay: 2, MaxDelay: 1, MaxHedges: -1})
	allNamed(t, err, "retry: HedgeConfig.", "MinDelay", "MaxHedges")
	for _, cfg := range []retry.HedgeConfig{{}, {MinDelay: time.Hour}, {MaxDelay: 1}, {Quantile: 0.5, MaxHedges: 8}} {
		if _, err := retry.NewHedger(cfg); err != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

// Panics and Goexit reach the caller, from whatever attempt, and cancel the others.
func TestHedgeExits(t *testing.T) {
	for name, exit := range map[string]func(){
		"panic":  func() { panic("boom") },
		"abort":  func() { panic(http.ErrAbortHandler) },
		"Goexit": runtime.Goexit,
	} {
		for attempt := 1; attempt <= 2; attempt++ {
			for _, early := range []bool{true, false} {
				if early && attempt == 2 {
					continue // there is no hedge that early
				}
				t.Run(fmt.Sprint(name, attempt, early), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						h := newHedger(t, retry.HedgeConfig{})
						returned, value := outcome(func() {
							_, _ = retry.Hedge(t.Context(), h, func(ctx context.Context) (int, error) {
								if retry.Attempt(ctx) != attempt {
									return hangs(ctx)
								}
								if !early {
									pass(2 * usual)
								}
								exit()
								return 0, nil
							}, nil)
						})
						want := map[string]any{"panic": "boom", "abort": http.ErrAbortHandler, "Goexit": nil}[name]
						if returned || value != want {
							t.Errorf("returned: %v, panicked with %v: want %v", returned, value, want)
						}
						synctest.Wait()
						if s := h.Stats(); s.Running != 0 || s.Panics != 0 {
							t.Errorf("%+v", s)
						}
					})
				})
			}
		}
	}
}

// A call that is not hedged leaves nothing behind either.
func TestHedgeExitsBeforeItHasLearnt(t *testing.T) {
	h, err := retry.NewHedger(retry.HedgeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for _, exit := range []func(){func() { panic("boom") }, runtime.Goexit} {
		var ctx context.Context
		returned, _ := outcome(func() {
			_, _ = retry.Hedge(t.Context(), h, func(c context.Context) (int, error) {
				ctx = c
				exit()
				return 0, nil
			}, nil)
		})
		if returned || ctx.Err() == nil {
			t.Errorf("returned: %v, the context says %v", returned, ctx.Err())
		}
	}
}

// Nobody is there to hear of a loser's panic. It is counted, and harms nobody.
func TestLosersExits(t *testing.T) {
	for name, test := range map[string]struct {
		exit   func()
		panics uint64
	}{
		"panic":               {func() { panic("boom") }, 1},
		"Goexit":              {runtime.Goexit, 0},
		"a value":             {func() {}, 1},
		"Goexit from discard": {func() {}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHedger(t, retry.HedgeConfig{})
				v, err := retry.Hedge(t.Context(), h, fork(func(ctx context.Context) (int, error) {
					<-ctx.Done()
					test.exit()
					return 1, nil
				}, after(1, 2, nil)), func(int) {
					if strings.HasPrefix(name, "Goexit") {
						runtime.Goexit()
					}
					panic("boom")
				})
				if v != 2 || err != nil {
					t.Errorf("%v, %v", v, err)
				}
				synctest.Wait()
				if s := h.Stats(); s.Panics != test.panics || s.Running != 0 {
					t.Errorf("%+v: want %d panics", s, test.panics)
				}
			})
		})
	}
}
