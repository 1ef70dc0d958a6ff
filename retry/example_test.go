package retry_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ballast-go/ballast/retry"
)

// ask is a service that answers the third time.
type ask struct{ calls int }

func (a *ask) Ask(context.Context) (string, error) {
	if a.calls++; a.calls < 3 {
		return "", errors.New("connection reset")
	}
	return "42", nil
}

func Example() {
	retrier, err := retry.New(retry.Config{
		Name:       "models",
		PerAttempt: 2 * time.Second,
		Backoff:    retry.FullJitter(time.Millisecond, time.Second),
	})
	if err != nil {
		panic(err)
	}
	service := new(ask)
	answer, err := retry.Call(context.Background(), retrier, service.Ask)
	fmt.Println(answer, err, "after", service.calls, "calls")
	// Output: 42 <nil> after 3 calls
}

// Everything in front of one service shares a budget: when it is down, there are
// a tenth more calls than without retries, and not three times as many.
func ExampleBudget() {
	budget, err := retry.NewBudget(retry.BudgetConfig{Ratio: 0.1, Floor: 5})
	if err != nil {
		panic(err)
	}
	retrier, err := retry.New(retry.Config{
		Budget:  budget,
		Backoff: retry.FullJitter(time.Microsecond, time.Microsecond),
	})
	if err != nil {
		panic(err)
	}
	reached := 0
	for range 1000 {
		_ = retrier.Do(context.Background(), func(context.Context) error {
			reached++
			return errors.New("down")
		})
	}
	fmt.Println(reached-1000, "retries of 1000 calls")
	// Output: 104 retries of 1000 calls
}

// A function says itself which of its errors are worth another attempt, and when.
func ExamplePermanent() {
	retrier, err := retry.New(retry.Config{Backoff: retry.FullJitter(time.Microsecond, time.Microsecond)})
	if err != nil {
		panic(err)
	}
	calls := 0
	err = retrier.Do(context.Background(), func(context.Context) error {
		if calls++; calls == 1 {
			return retry.After(time.Millisecond, errors.New("try again later"))
		}
		return retry.Permanent(errors.New("no such model"))
	})
	fmt.Println(err, "after", calls, "calls")
	// Output: no such model after 2 calls
}

// Why a call was given up, and what its attempts returned.
func ExampleError() {
	retrier, err := retry.New(retry.Config{Name: "models", Backoff: retry.FullJitter(time.Hour, time.Hour), MaxAttempts: 2})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err = retrier.Do(ctx, func(context.Context) error {
		return retry.After(time.Minute, errors.New("overloaded"))
	})
	fmt.Println(err)
	fmt.Println("out of time:", errors.Is(err, context.DeadlineExceeded))
	if e, ok := errors.AsType[*retry.Error](err); ok {
		fmt.Println("attempts:", e.Attempts, "causes:", e.Causes)
	}
	// Output:
	// retry: context deadline exceeded ("models", attempts: 1): overloaded
	// out of time: true
	// attempts: 1 causes: [overloaded]
}

// The pitfall: a value that depends on the context of its call, here a body that
// is still to be read, is of no use once Hedge has returned and the context has
// ended. For HTTP there is TransportConfig.Hedger.
func ExampleHedge_incorrect() {
	hedger, err := retry.NewHedger(retry.HedgeConfig{})
	if err != nil {
		panic(err)
	}
	defer hedger.Close(context.Background())
	body, err := retry.Hedge(context.Background(), hedger, func(ctx context.Context) (stream, error) {
		return stream{ctx}, nil
	}, nil)
	if err != nil {
		panic(err)
	}
	_, err = body.Read(nil)
	fmt.Println(err)
	// Output: context canceled
}

// A stream can be read until its context ends.
type stream struct{ ctx context.Context }

func (s stream) Read([]byte) (int, error) { return 0, s.ctx.Err() }

// All that is returned has been read, in the function.
func ExampleHedge() {
	hedger, err := retry.NewHedger(retry.HedgeConfig{Name: "embeddings", Quantile: 0.99})
	if err != nil {
		panic(err)
	}
	defer hedger.Close(context.Background())
	v, err := retry.Hedge(context.Background(), hedger, func(context.Context) ([]float32, error) {
		return []float32{0.1, 0.2}, nil
	}, nil)
	fmt.Println(v, err)
	// Output: [0.1 0.2] <nil>
}
