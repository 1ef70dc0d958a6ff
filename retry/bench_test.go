package retry_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ballast-go/ballast/retry"
)

func BenchmarkFirstTry(b *testing.B) {
	r, err := retry.New(retry.Config{})
	if err != nil {
		b.Fatal(err)
	}
	fn := func(context.Context) error { return nil }
	value := func(context.Context) (int, error) { return 1, nil }
	cancelable, cancel := context.WithCancel(context.Background())
	defer cancel()
	for name, ctx := range map[string]context.Context{"Background": context.Background(), "cancelable": cancelable} {
		b.Run("Do/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Do(ctx, fn); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("Call/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := retry.Call(ctx, r, value); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("bare/"+name, func(b *testing.B) {
			for b.Loop() {
				if err := fn(ctx); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("Do/parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := r.Do(context.Background(), fn); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// What a retry costs beside the wait.
func BenchmarkSecondTry(b *testing.B) {
	budget, err := retry.NewBudget(retry.BudgetConfig{Ratio: 1})
	if err != nil {
		b.Fatal(err)
	}
	r, err := retry.New(retry.Config{Budget: budget, Backoff: func() retry.Backoff { return none{} }})
	if err != nil {
		b.Fatal(err)
	}
	failure := errors.New("not now")
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Do(context.Background(), func(ctx context.Context) error {
			if retry.Attempt(ctx) == 1 {
				return failure
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
}

// none is a schedule without waits.
type none struct{}

func (none) NextBackOff() time.Duration { return 0 }
func (none) Reset()                     {}
