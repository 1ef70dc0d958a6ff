package ratelimit

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// ReservationTTL is how long a [Reservation] lasts without an Extend that
// succeeds.
const ReservationTTL = 10 * time.Minute

// ErrExpired says that a [Reservation] is over, and its account settled.
var ErrExpired = errors.New("ratelimit: the reservation is over")

// A Reservation is what [Reserve] took beforehand for work of which the cost is
// known only afterwards. End it with Commit or Cancel. One that is dropped
// keeps charged what was reserved: to refund it would make tokens free for who
// disconnects in time.
//
// What is given back was the key's own, and is there at once. So at a moment it
// may have more than Burst, by what it had reserved before; from when it
// reserved it until then, it has no more than Burst and its rate. If the limit
// of a [Keyed] has changed in between, each event counts as much as it took, or
// takes by now if that is less.
//
// Its methods are safe for concurrent use; one at a time asks the limiter. They
// do so whether or not the context of Reserve has ended: a client that left must
// still be accounted for. How long that may take is up to the limiter.
type Reservation struct {
	ctx   context.Context
	rules ruleSet

	mu      sync.Mutex
	charges []charge
	total   int
	expires time.Time
	over    bool
}

// Reserve takes the estimate of what some work will cost, before it begins. It
// returns
//
//   - a Reservation and what is left after it;
//   - or, if l turns it away, no Reservation, the Decision, and it again as a
//     *[LimitedError];
//   - or, if l fails and its policy for that is to turn away, no Reservation and
//     l's error; [ErrCost] if the estimate is negative.
//
// If l fails and its policy is to let through, there is a Reservation and no
// error. Nothing has been taken for it, and Commit takes all of what was used.
//
// An estimate of 0 takes nothing.
func Reserve(ctx context.Context, l Limiter, key string, estimate int) (*Reservation, Decision, error) {
	var d Decision
	if estimate < 0 {
		return nil, d, ErrCost
	}
	r := &Reservation{ctx: context.WithoutCancel(ctx), total: estimate}
	if a, ok := l.(*all); ok {
		r.rules = a.ruleSet
	} else {
		r.rules = ruleSet{{Limiter: l}}
	}
	r.charges = r.rules.charges(ctx, nil, key)
	now := time.Now()
	r.expires = now.Add(ReservationTTL)
	if estimate == 0 {
		d.OK = true
		return r, d, nil
	}
	err := r.rules.raise(ctx, now, r.charges, estimate, &d)
	if !d.OK {
		return nil, d, refusal(d, err)
	}
	return r, d, nil
}

// refusal is the error for who is turned away by a limiter that said d and err.
func refusal(d Decision, err error) error {
	if err == nil {
		err = &LimitedError{Decision: d}
	}
	return err
}

// Extend takes n more, because the work turns out to cost more than was
// reserved; a stream of tokens asks before it sends more of them. If that fails,
// nothing has changed: end the work here, which a chat completion's
// finish_reason calls "length", and Commit.
//
// The error is a *[LimitedError], or the limiter's if it failed and its policy
// is to turn away, or [ErrCost] if n is negative, or [ErrExpired] after
// [ReservationTTL], Commit or Cancel. Success, also with an n of 0, lets the
// ReservationTTL begin again.
func (r *Reservation) Extend(n int) error {
	if n < 0 {
		return ErrCost
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if r.over || !now.Before(r.expires) {
		return ErrExpired
	}
	if n > math.MaxInt-r.total {
		return &LimitedError{Decision: Decision{RetryAfter: rate.InfDuration}}
	}
	if n > 0 {
		var d Decision
		if err := r.rules.raise(r.ctx, now, r.charges, r.total+n, &d); !d.OK {
			return refusal(d, err)
		}
	}
	r.total += n
	r.expires = now.Add(ReservationTTL)
	return nil
}

// Commit ends the reservation with what the work cost indeed. What is left of
// what was reserved is given back; what is missing is taken without asking, into
// debt if need be.
//
// After [ReservationTTL] it returns [ErrExpired], and what was reserved stays
// charged. After a Commit or Cancel it does nothing. So it does after one that
// returned an error of the limiter's, of which the account may then still be
// charged with what was reserved: to repeat what did arrive, and of which only
// the answer was lost, would give tokens away. A negative number is [ErrCost]
// and changes nothing.
func (r *Reservation) Commit(actual int) error {
	if actual < 0 {
		return ErrCost
	}
	return r.end(func() error {
		if actual == 0 && r.total == 0 { // an exemption, as an AllowN of 0
			return r.free()
		}
		return r.rules.price(r.charges, actual)
	})
}

// Cancel ends the reservation of work that was not done and gives back all of
// it. Do not defer it: if the handler panics or the client leaves, what has been
// used by then would be free. Otherwise it is as Commit.
func (r *Reservation) Cancel() error {
	return r.end(r.free)
}

// free prices the work at nothing, whatever the rules' Cost would say.
func (r *Reservation) free() error {
	for i := range r.charges {
		r.charges[i].next = 0
	}
	return nil
}

// end settles with each rule, once, for what price says that it gets.
func (r *Reservation) end(price func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return nil
	}
	if !time.Now().Before(r.expires) {
		return ErrExpired
	}
	if err := price(); err != nil {
		return err
	}
	r.over = true
	var failed error
	for i := range r.rules {
		rule, c := &r.rules[i], &r.charges[i]
		if unused := c.n - c.next; unused != 0 {
			if err := c.settle(r.ctx, rule.Limiter, unused); err != nil {
				failed = join(failed, rule.wrap(err))
			}
		}
	}
	return failed
}

// settle gives back what is unused, or takes what is missing.
func (c *charge) settle(ctx context.Context, l Limiter, unused int) error {
	k, ok := l.(*Keyed)
	if !ok || unused < 0 {
		return l.Return(ctx, c.key, unused)
	}
	// If the limit has become slower, the same number of events is more time than
	// they took: that would give back what others have used.
	own := quota{}
	q := *k.quotaOf(c.key, &own)
	q.interval = min(q.interval, Limit{Rate: c.fastest}.interval())
	k.refund(&q, k.now(), c.key, uint64(unused))
	return nil
}
