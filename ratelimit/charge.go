package ratelimit

import (
	"context"
	"errors"
	"time"

	"golang.org/x/time/rate"
)

// ruleSet is the rules that one call or one reservation takes from. Its methods
// work on a charge for each rule, in the same order.
type ruleSet []Rule

// charge is how a rule's account stands with one call or reservation.
type charge struct {
	key  string
	cost int // that the rule has let through
	n    int // that it has taken: less than cost if it failed and let it through
	next int // cost, of the step that is being taken
	took int // n, of that step

	rate    rate.Limit // of the limit that took was taken from
	fastest rate.Limit // of those that n was taken from
}

// charges makes a charge for each rule, in room if it suffices.
func (s ruleSet) charges(ctx context.Context, room []charge, key string) []charge {
	if len(s) > len(room) {
		room = make([]charge, len(s))
	}
	for i := range s {
		room[i].key = s[i].key(ctx, key)
	}
	return room[:len(s)]
}

// raise lets each rule take what total costs more than before, or none of them
// anything. It puts the decision into d, which is zero. The present time is t.
func (s ruleSet) raise(ctx context.Context, t time.Time, charges []charge, total int, d *Decision) error {
	// Before anything is taken, in case that a Cost panics.
	if err := s.price(charges, total); err != nil {
		return err
	}
	defer s.undo(ctx, t, charges) // also if a limiter panics
	var other Decision
	next, tightest := &other, d
	var sound bool // whether tightest came without an error
	var failed error
	for i := range s {
		r, c := &s[i], &charges[i]
		if c.next <= c.cost {
			continue
		}
		err := takeFrom(ctx, r.Limiter, t, c.key, c.next-c.cost, next)
		if r.Name != "" {
			next.Rule = r.Name
		}
		if err != nil {
			err = r.wrap(err)
		}
		if !next.OK {
			*d = *next
			return err
		}
		if err == nil {
			c.took, c.rate = c.next-c.cost, next.Limit.Rate
		} else {
			failed = join(failed, err)
		}
		// One that failed knows nothing, but is better than none.
		if !tightest.OK || err == nil && (!sound || tighter(next, tightest)) {
			next, tightest, sound = tightest, next, err == nil
		}
	}
	for i := range charges {
		c := &charges[i]
		c.cost, c.n, c.took = max(c.cost, c.next), c.n+c.took, 0
		c.fastest = max(c.fastest, c.rate)
	}
	if tightest != d {
		*d = *tightest
	}
	d.OK = true // also if no rule had to be asked
	return failed
}

// price sets what each rule wants for total in all.
func (s ruleSet) price(charges []charge, total int) error {
	for i := range s {
		next, err := s[i].cost(total)
		if err != nil {
			return err
		}
		charges[i].next = next
	}
	return nil
}

// takeFrom is l.AllowN at the present time t, into d. n is not negative. A Keyed
// fills d in itself, but for the Rule, of which it has none: to copy a Decision
// that has just been written costs as much as to take from the cell.
func takeFrom(ctx context.Context, l Limiter, t time.Time, key string, n int, d *Decision) (err error) {
	k, ok := l.(*Keyed)
	if !ok {
		*d, err = l.AllowN(ctx, key, n)
		return err
	}
	own := quota{}
	q := k.quotaOf(key, &own)
	used, wait := k.take(q, k.at(t), key, n)
	q.decision(d, used, wait)
	return nil
}

// tighter tells whether less of its burst remains of d than of e.
func tighter(d, e *Decision) bool {
	return float64(d.Remaining)*float64(e.Limit.Burst) < float64(e.Remaining)*float64(d.Limit.Burst)
}

// join is errors.Join for the usual case of one.
func join(err, more error) error {
	if err == nil {
		return more
	}
	return errors.Join(err, more)
}
