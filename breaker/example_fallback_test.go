package breaker_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/ballast-go/ballast/breaker"
)

// The large model, the small one, and what was said the last time.
func ExampleFallback() {
	large, err := breaker.New(breaker.Config{Name: "large"})
	if err != nil {
		fmt.Println(err)
		return
	}
	large.ForceOpen()
	answer, err := breaker.Fallback(context.Background(),
		func(ctx context.Context) (string, error) {
			return breaker.Call(ctx, large, func(context.Context) (string, error) { return "a poem", nil })
		},
		func(ctx context.Context) (string, error) {
			fmt.Println("the large one is open:", errors.Is(breaker.CauseFromContext(ctx), breaker.ErrOpen))
			return "", errors.New("small: out of memory")
		},
		func(ctx context.Context) (string, error) {
			return "a poem of yesterday", nil
		},
	)
	fmt.Println(answer, err)
	// Output:
	// the large one is open: true
	// a poem of yesterday <nil>
}

// If nothing helps, the error is that of every option.
func ExampleFallback_allFail() {
	_, err := breaker.Fallback(context.Background(),
		func(context.Context) (string, error) { return "", errors.New("large: connection refused") },
		func(context.Context) (string, error) { return "", errors.New("cache: nothing there") },
	)
	fmt.Println(err)
	// Output:
	// large: connection refused
	// cache: nothing there
}
