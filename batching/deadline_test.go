package batching_test

import (
	"context"
	"time"
)

// within returns a context that ends in so many milliseconds.
func within(ms int) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Duration(ms)*time.Millisecond)
}
