package retry

import "context"

type attemptKey struct{}

// Attempt is which attempt of its call ctx belongs to: 1 for the first, and for
// a context of no call at all. If this process itself serves another's retry,
// and was told so ([Middleware], [ContextWithAttempt]), it is that attempt's
// number.
func Attempt(ctx context.Context) int {
	if n, ok := ctx.Value(attemptKey{}).(int); ok {
		return n
	}
	return 1
}

// ContextWithAttempt is for adapters of protocols: the request that is being
// served is the n-th attempt of its caller's, and n below 1 counts as 1. With
// such a context, if n is above 1, [Retrier.Do] and [Call] call once, as does
// [Hedge]: three layers that make three attempts each would make 27 of one. What
// fails then is an *[Error] that is [ErrNested], and the caller's to repeat.
//
// n = 1 takes the mark off again, for work that goes on by itself after its
// request.
func ContextWithAttempt(ctx context.Context, n int) context.Context {
	n = max(n, 1)
	if n == Attempt(ctx) {
		return ctx
	}
	return context.WithValue(ctx, attemptKey{}, n)
}
