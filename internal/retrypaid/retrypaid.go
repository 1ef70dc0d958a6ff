// Package retrypaid keeps a call that is both retried and hedged from paying twice
// into the retry.Budget that it has for both.
package retrypaid

import "context"

type key struct{}

// Into returns a context in which budget has got a call's share.
func Into(ctx context.Context, budget any) context.Context {
	return context.WithValue(ctx, key{}, budget)
}

// Has reports whether budget has got the share of ctx's call.
func Has(ctx context.Context, budget any) bool { return ctx.Value(key{}) == budget }
