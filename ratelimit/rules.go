package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// A Rule is one of the limits of [All].
type Rule struct {
	// Name tells the rule from the others in [Decision].Rule and in the headers
	// that clients get. Required; printable ASCII, as RFC 9651 has strings.
	Name string

	// Limiter is what the rule takes from. Required.
	Limiter Limiter

	// Key makes the rule's key of the call's: the tenant of an API key, the
	// model that ctx holds. nil leaves it as it is.
	Key func(ctx context.Context, key string) string

	// Cost makes what the rule takes of the call's n. func(int) int { return 1 }
	// counts calls, whatever they cost. It must not be negative, nor fall as n
	// rises. A rule is not asked about what costs it 0, and Cost is not asked
	// about a call with an n of 0. nil is n itself.
	Cost func(n int) int
}

// All makes one limiter of several rules, such as requests a minute, tokens a
// minute and requests a day. A call is let through if all of them let it
// through, and takes from all or from none.
//
// They are asked in turn, up to the first that says no: put first what is
// cheapest to ask. What the ones before it took is given back at once, but for
// what their rate has made up for meanwhile. In between others may be turned
// away for it; nobody is let through beyond a limit.
//
// The Decision is about the rule that it names: the first that said no, with
// its RetryAfter (those after it have not been asked, and may say no in their
// turn), or else the one with the smallest part of its Burst remaining.
//
// A rule whose limiter fails is as OK as the Decision that comes with the error,
// and counts as having taken nothing. If the call is let through, the error
// comes with the Decision; if another rule turns it away, that is all it needs
// to know. What cannot be given back because a limiter fails stays taken.
//
// An AllowN of 0 is OK and asks nobody: its Decision has no Limit. Return undoes
// an AllowN of the same n. To give back a part of it use [Reserve], which knows
// what each rule's Cost was.
//
// Rules that are limiters made by All are taken apart; their rules are named
// outer/inner. All panics if there is no rule, a Limiter is nil, or a name is
// missing, not printable ASCII, or there twice: what limits should hold is
// known when a program starts, and one of none would let everything through.
func All(rules ...Rule) Limiter {
	flat := flatten(rules)
	if len(flat) == 0 {
		panic("ratelimit: All: no rules")
	}
	names := make(map[string]bool, len(flat))
	for _, r := range flat {
		if names[r.Name] {
			panic(fmt.Sprintf("ratelimit: All: two rules are named %q", r.Name))
		}
		names[r.Name] = true
	}
	return &all{flat}
}

// flatten checks rules and takes those apart that All made.
func flatten(rules []Rule) ruleSet {
	var flat ruleSet
	for i, r := range rules {
		if r.Name == "" {
			panic(fmt.Sprintf("ratelimit: All: rule %d has no Name", i))
		}
		for _, c := range []byte(r.Name) {
			if c < ' ' || c > '~' {
				panic(fmt.Sprintf("ratelimit: All: the name %q is not printable ASCII", r.Name))
			}
		}
		if r.Limiter == nil {
			panic(fmt.Sprintf("ratelimit: All: rule %q has no Limiter", r.Name))
		}
		nested, ok := r.Limiter.(*all)
		if !ok {
			flat = append(flat, r)
			continue
		}
		for _, inner := range nested.ruleSet {
			flat = append(flat, r.around(inner))
		}
	}
	return flat
}

// around is the inner rule of a limiter that is r's.
func (r Rule) around(inner Rule) Rule {
	made := Rule{Name: r.Name + "/" + inner.Name, Limiter: inner.Limiter, Key: inner.Key, Cost: inner.Cost}
	if r.Key != nil {
		made.Key = func(ctx context.Context, key string) string { return inner.key(ctx, r.Key(ctx, key)) }
	}
	if r.Cost != nil {
		made.Cost = func(n int) int {
			n = r.Cost(n)
			if n <= 0 { // 0 costs nothing, also the rule inside
				return n
			}
			if inner.Cost == nil {
				return n
			}
			return inner.Cost(n)
		}
	}
	return made
}

func (r *Rule) key(ctx context.Context, key string) string {
	if r.Key == nil {
		return key
	}
	return r.Key(ctx, key)
}

// cost is the rule's share of n, which is not negative.
func (r *Rule) cost(n int) (int, error) {
	if r.Cost == nil {
		return n, nil
	}
	n = r.Cost(n)
	if n < 0 {
		return 0, r.wrap(ErrCost)
	}
	return n, nil
}

// wrap says whose error it is.
func (r *Rule) wrap(err error) error {
	if r.Name == "" { // Reserve's, of a single limiter
		return err
	}
	return fmt.Errorf("ratelimit: rule %q: %w", r.Name, err)
}

// all is the limiter that [All] makes.
type all struct{ ruleSet }

func (a *all) AllowN(ctx context.Context, key string, n int) (d Decision, err error) {
	if n < 0 {
		return d, ErrCost
	}
	if n == 0 {
		d.OK = true
		return d, nil
	}
	var room [8]charge // more rules than that cost an allocation
	charges := a.charges(ctx, room[:], key)
	err = a.raise(ctx, time.Now(), charges, n, &d)
	return d, err
}

func (a *all) Return(ctx context.Context, key string, n int) error {
	sign := 1
	if n < 0 {
		sign, n = -1, -max(n, -math.MaxInt)
	}
	if n == 0 {
		return nil
	}
	var errs []error
	for i := range a.ruleSet {
		r := &a.ruleSet[i]
		cost, err := r.cost(n)
		if err == nil && cost > 0 {
			err = r.Limiter.Return(ctx, r.key(ctx, key), sign*cost)
		}
		if err != nil {
			errs = append(errs, r.wrap(err))
		}
	}
	return errors.Join(errs...)
}
