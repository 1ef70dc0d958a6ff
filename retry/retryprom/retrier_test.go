package retryprom_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/ballast-go/ballast/retry"
	"github.com/ballast-go/ballast/retry/retryprom"
)

var errBroken = errors.New("broken")

// What the callers of a real retrier saw is what Prometheus sees.
func TestRetrier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget, err := retry.NewBudget(retry.BudgetConfig{Floor: 6, Ratio: 0.25})
		if err != nil {
			t.Fatal(err)
		}
		r, err := retry.New(retry.Config{MaxAttempts: 3, Budget: budget})
		if err != nil {
			t.Fatal(err)
		}
		registry := registryOf(t, retryprom.NewCollector("api", r), retryprom.NewBudgetCollector("shared", r.Budget()))
		attempts, calls, got := 0, 0, make(map[error]int)
		do := func(ctx context.Context, outcomes ...error) {
			calls++
			err := r.Do(ctx, func(context.Context) error {
				attempts++
				err := outcomes[0]
				outcomes = outcomes[1:]
				return err
			})
			for _, kind := range []error{retry.ErrExhausted, retry.ErrBudget, retry.ErrNested, context.Canceled, errBroken} {
				if errors.Is(err, kind) {
					got[kind]++
					return
				}
			}
			if err == nil {
				got[nil]++
			}
		}
		ctx := t.Context()
		do(ctx, nil)
		do(ctx, errBroken, nil)
		do(ctx, errBroken, errBroken, errBroken)
		do(ctx, retry.Permanent(errBroken))
		do(retry.ContextWithAttempt(ctx, 2), errBroken)
		dying, cancel := context.WithCancel(ctx)
		_ = r.Do(dying, func(context.Context) error { attempts++; cancel(); return errBroken })
		calls++
		for range 3 { // two of the budget's six were spent above, besides what calls earned
			do(ctx, errBroken, errBroken, errBroken)
		}
		want(t, registry, map[string]float64{
			`retry_retries_total{retrier="api"}`:                             float64(attempts - calls),
			`retry_recovered_calls_total{retrier="api"}`:                     1,
			`retry_given_up_calls_total{reason="exhausted",retrier="api"}`:   float64(got[retry.ErrExhausted]),
			`retry_given_up_calls_total{reason="over_budget",retrier="api"}`: float64(got[retry.ErrBudget]),
			`retry_given_up_calls_total{reason="nested",retrier="api"}`:      1,
			`retry_given_up_calls_total{reason="permanent",retrier="api"}`:   1,
			`retry_given_up_calls_total{reason="out_of_time",retrier="api"}`: 1,
			`retry_budget_attempts_total{budget="shared",outcome="allowed"}`: float64(attempts - calls),
			`retry_budget_attempts_total{budget="shared",outcome="denied"}`:  float64(got[retry.ErrBudget]),
			`retry_budget_tokens{budget="shared"}`:                           budget.Stats().Tokens,
			`retry_budget_tokens_limit{budget="shared"}`:                     6,
		})
		if got[nil] != 2 || got[retry.ErrBudget] == 0 || got[retry.ErrExhausted] < 2 {
			t.Errorf("the test has not seen all it should: %v", got)
		}
	})
}

// A call that hangs is answered by its hedge, and stays visible until it returns.
func TestHedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := retry.NewHedger(retry.HedgeConfig{})
		if err != nil {
			t.Fatal(err)
		}
		registry := registryOf(t, retryprom.NewHedgeCollector("search", h))
		calls := 0.0
		for h.Stats().Delay == 0 && calls < 10_000 { // until it knows enough to hedge
			calls++
			if _, err := retry.Hedge(t.Context(), h, func(context.Context) (int, error) { return 1, nil }, nil); err != nil {
				t.Fatal(err)
			}
		}
		leave := make(chan struct{})
		v, err := retry.Hedge(t.Context(), h, func(ctx context.Context) (int, error) {
			n := retry.Attempt(ctx)
			if n == 1 {
				<-leave
			}
			return n, nil
		}, nil)
		if v != 2 || err != nil {
			t.Fatalf("attempt %d won: %v", v, err)
		}
		want(t, registry, map[string]float64{
			`retry_hedge_calls_total{hedger="search"}`:       calls + 1,
			`retry_hedge_attempts_total{hedger="search"}`:    1,
			`retry_hedge_wins_total{hedger="search"}`:        1,
			`retry_hedge_running_attempts{hedger="search"}`:  1,
			`retry_hedge_delay_seconds{hedger="search"}`:     h.Stats().Delay.Seconds(),
			`retry_hedge_over_budget_total{hedger="search"}`: 0,
		})
		close(leave)
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
		want(t, registry, map[string]float64{`retry_hedge_running_attempts{hedger="search"}`: 0})
	})
}
