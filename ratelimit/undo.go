package ratelimit

import (
	"context"
	"time"
)

// undo gives back what a step that began at t took and that was not finished,
// because another rule turned the call away or something panicked.
//
// All of it would be too much: while it was taken, the key's rate went on. Who
// found the burst full again after that, and then all that is given back
// besides, would have more than Burst at once. So a rule keeps what its rate
// has made since t. Then the TAT of a Keyed is always ahead of now by all that
// may still be given back, and what is let through for good is no more than what
// GCRA lets through. It is microseconds' worth. Other limiters count in whole
// events, and may let through less than one too many.
func (s ruleSet) undo(ctx context.Context, t time.Time, charges []charge) {
	for i := range charges {
		c := &charges[i]
		if c.took == 0 {
			continue
		}
		n := c.took
		c.took = 0 // it is not given back again, whatever comes
		if k, ok := s[i].Limiter.(*Keyed); ok {
			k.undo(t, c.key, int64(n)*Limit{Rate: c.rate}.interval())
			continue
		}
		if made := time.Since(t).Seconds() * float64(c.rate); made >= 1 {
			n -= int(min(made, float64(n)))
		}
		if n > 0 {
			// Nobody is told of an error: the call is turned away all the same,
			// and what stays taken turns others away but lets nobody through.
			_ = s[i].Limiter.Return(context.WithoutCancel(ctx), c.key, n) // who left must still be accounted for
		}
	}
}

// undo gives back what was taken at t, which took up cost of the key's time: the
// limit may be another by now, and its own function is not asked again.
func (k *Keyed) undo(t time.Time, key string, cost int64) {
	at, now := k.at(t), k.now()
	if missing := at + cost - max(at, now); missing > 0 {
		k.refund(&quota{interval: missing}, now, key, 1)
	}
}
