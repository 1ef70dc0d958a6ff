package retrybench

import (
	"context"
	"time"

	"github.com/ballast-go/ballast/retry"
)

func newBallast(s settings) (caller, error) {
	r, err := newRetrier(s)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, w work, n int) error {
		for range n {
			if err := r.Do(ctx, w.do); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// newRetrier makes one with the budget that it has by default, except where
// every call needs a retry: then it may have one.
func newRetrier(s settings) (*retry.Retrier, error) {
	cfg := retry.Config{MaxAttempts: s.attempts, Backoff: retry.FullJitter(s.base, s.most)}
	if s.fixed {
		cfg.Backoff = func() retry.Backoff { return every(s.base) }
	}
	if s.fixed && s.base == 0 {
		b, err := retry.NewBudget(retry.BudgetConfig{Ratio: 1, Floor: 1000})
		if err != nil {
			return nil, err
		}
		cfg.Budget = b
	}
	return retry.New(cfg)
}

// every is a schedule of the same delay each time.
type every time.Duration

func (d every) NextBackOff() time.Duration { return time.Duration(d) }
func (every) Reset()                       {}
