package retry

import (
	"context"
	"testing"
	"time"
)

// A first attempt that succeeds allocates nothing, whether the budget is full or
// not, shared or not, and whatever the context.
func TestFirstTryAllocatesNothing(t *testing.T) {
	if raceEnabled {
		return // the race detector allocates
	}
	cancelable, cancel := context.WithCancel(context.Background())
	defer cancel()
	deadline, cancelDeadline := context.WithTimeout(context.Background(), time.Hour)
	defer cancelDeadline()
	shared, low := mustBudget(t, "0.1", 10), mustBudget(t, "0.000001", 1000)
	low.take()
	fn := func(context.Context) error { return nil }
	for name, ctx := range map[string]context.Context{
		"Background": context.Background(), "cancelable": cancelable, "deadline": deadline,
		"nested": ContextWithAttempt(context.Background(), 2),
	} {
		for budgetName, budget := range map[string]*Budget{"own": nil, "shared": shared, "not full": low} {
			r, err := New(Config{Budget: budget})
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			do := testing.AllocsPerRun(100, func() {
				if err := r.Do(ctx, fn); err != nil {
					t.Fatal(err)
				}
			})
			call := testing.AllocsPerRun(100, func() {
				if _, err := Call(ctx, r, func(context.Context) (int, error) {
					n++
					return n, nil
				}); err != nil {
					t.Fatal(err)
				}
			})
			if do != 0 || call != 0 {
				t.Errorf("%s, budget %s: Do allocates %v times, Call %v", name, budgetName, do, call)
			}
		}
	}
	if low.isFull() {
		t.Error("the budget that is not full is")
	}
}
