package ratelimit

import (
	"context"
	"time"
)

// A Decision is a limiter's answer.
type Decision struct {
	OK        bool
	Limit     Limit // what applies to the key
	Remaining int   // what could be taken right now, after this; never negative

	// RetryAfter is how long until the same call can succeed if nobody else
	// takes anything: 0 if OK, rate.InfDuration (golang.org/x/time/rate) if
	// never, because it asks for more than Burst.
	RetryAfter time.Duration
	ResetAfter time.Duration // until nothing of the burst is taken any more

	Rule string // of All: which rule this is about; "" of a single limiter
}

// A Limiter decides whether a key may have n more. *[Keyed] is one, [All] makes
// one of several, and package ratelimitredis has one that many processes share.
// Limiters are safe for concurrent use.
type Limiter interface {
	// AllowN takes n of what key may have, all or nothing. To be turned away is
	// a Decision, not an error; an error says that the limiter itself failed,
	// and then the Decision is what its policy for that is. An n of 0 takes
	// nothing and is OK; a negative n is an error.
	AllowN(ctx context.Context, key string, n int) (Decision, error)

	// Return gives back n that AllowN took for key and nobody used. A negative n
	// takes -n without asking, into debt if need be: what was used beyond what
	// had been asked for.
	Return(ctx context.Context, key string, n int) error
}
