package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Config configures a [Keyed] limiter.
type Config struct {
	// Limit applies to every key that LimitFor does not know. Required.
	Limit Limit

	// LimitFor returns a key's own limit, or false. It is called at every call,
	// and may answer differently each time; so it should be quick. A limit of
	// its that is invalid lets nothing through. nil knows no key.
	LimitFor func(key string) (Limit, bool)

	// MaxKeys is for how many keys there is room at a time: those that have
	// used some of their burst and not recovered all of it yet. 0 means 1<<20;
	// the most is 1<<30. A key costs 23 bytes, all of them allocated by New.
	MaxKeys int

	_ struct{}
}

const (
	defaultMaxKeys = 1 << 20
	maxMaxKeys     = 1 << 30
)

// Keyed limits each key by itself, in this process's memory. It is safe for
// concurrent use, starts no goroutine, and needs no Close.
//
// A call takes no lock, but for one of a key that is not in use: that one takes
// a lock that the keys with like hashes share.
type Keyed struct {
	table    table
	base     time.Time
	quota    atomic.Pointer[quota]
	limitFor func(key string) (Limit, bool)
}

// New returns a limiter, or everything that is wrong with cfg.
func New(cfg Config) (*Keyed, error) {
	var errs []error
	if err := cfg.Limit.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("ratelimit: Config.Limit: %w", err))
	}
	if cfg.MaxKeys < 0 || cfg.MaxKeys > maxMaxKeys {
		errs = append(errs, fmt.Errorf("ratelimit: Config.MaxKeys: %d is not between 0 and 1<<30", cfg.MaxKeys))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if cfg.MaxKeys == 0 {
		cfg.MaxKeys = defaultMaxKeys
	}
	k := &Keyed{base: time.Now(), limitFor: cfg.LimitFor}
	k.table.init(cfg.MaxKeys)
	q := cfg.Limit.quota()
	k.quota.Store(&q)
	return k, nil
}

// SetLimit changes Config.Limit from now on. What keys have used so far stays
// used, as the time that it took up. It returns an error, and changes nothing,
// if l is invalid.
func (k *Keyed) SetLimit(l Limit) error {
	if err := l.Validate(); err != nil {
		return fmt.Errorf("ratelimit: SetLimit: %w", err)
	}
	q := l.quota()
	k.quota.Store(&q)
	return nil
}

// Allow takes one of what key may have, at the present time, and reports whether
// it was there.
func (k *Keyed) Allow(key string) bool {
	own := quota{}
	_, wait := k.take(k.quotaOf(key, &own), k.now(), key, 1)
	return wait == 0
}

// AllowAt takes n of what key may have, all or nothing, as of the time t. It
// reads no clock. Times may go backwards: a key never gets more by that. A
// negative n is never OK.
func (k *Keyed) AllowAt(t time.Time, key string, n int) (d Decision) {
	k.decide(&d, t, key, n)
	return d
}

// decide fills in d, which is zero. AllowAt is no more than this call, so that it
// is inlined: a Decision that a call returns is stored in eight pieces and read
// back in four, which stalls, 5 ns of 21 for who looks at OK alone.
func (k *Keyed) decide(d *Decision, t time.Time, key string, n int) {
	own := quota{}
	q := k.quotaOf(key, &own)
	used, wait := k.take(q, k.at(t), key, n)
	q.decision(d, used, wait)
}

// AllowN implements [Limiter], with the present time. Its error is [ErrCost] or
// nil.
func (k *Keyed) AllowN(_ context.Context, key string, n int) (d Decision, err error) {
	own := quota{}
	q := k.quotaOf(key, &own)
	used, wait := k.take(q, k.now(), key, n)
	q.decision(&d, used, wait)
	if n < 0 {
		err = ErrCost
	}
	return d, err
}

// Return implements [Limiter], with the present time. Its error is always nil.
// It gives nothing back to a key that has no cell of its own: one that has
// recovered, or that there was no room for.
func (k *Keyed) Return(_ context.Context, key string, n int) error {
	own := quota{}
	q := k.quotaOf(key, &own)
	if n >= 0 {
		k.refund(q, k.now(), key, uint64(n))
	} else {
		k.charge(q, k.now(), key, -uint64(n))
	}
	return nil
}

// at is t in the table's time.
func (k *Keyed) at(t time.Time) int64 {
	return min(max(int64(t.Sub(k.base)), minTime), maxTime)
}

// now is the present in the table's time.
func (k *Keyed) now() int64 { return int64(time.Since(k.base)) }

// quotaOf is what applies to key. own is where to put it if it is the key's own.
func (k *Keyed) quotaOf(key string, own *quota) *quota {
	if k.limitFor == nil {
		return k.quota.Load()
	}
	return k.quotaFor(key, own)
}

func (k *Keyed) quotaFor(key string, own *quota) *quota {
	l, ok := k.limitFor(key)
	if !ok {
		return k.quota.Load()
	}
	*own = l.quota()
	return own
}

// take is GCRA on the key's cell. A cell may change hands between any two
// steps, so it was ours only if it still has our hash after the last one. If it
// has not, we start again; at worst another key was charged for nothing.
func (k *Keyed) take(q *quota, now int64, key string, n int) (used int64, wait time.Duration) {
	t := &k.table
	hash := t.hash(key)
	c := &t.home(hash)[0]
	if c.hash.Load() != hash {
		c = t.findElsewhere(hash)
	}
	for ; ; c = t.find(hash) {
		var tat int64 = claimed
		if c != nil {
			tat = c.tat.Load()
		}
		if tat == claimed {
			var ok bool
			if used, wait, ok = t.enter(q, hash, now, n); ok {
				return used, wait
			}
			continue
		}
		used, wait = q.take(tat, now, n)
		if wait == 0 && n != 0 && !c.tat.CompareAndSwap(tat, now+used) || c.hash.Load() != hash {
			continue
		}
		t.stripe(hash).count(wait == 0)
		return used, wait
	}
}

// charge puts n on the key's account.
func (k *Keyed) charge(q *quota, now int64, key string, n uint64) {
	t := &k.table
	hash := t.hash(key)
	for {
		c := t.find(hash)
		if c == nil {
			if t.enterCharged(q, hash, now, n) {
				return
			}
			continue
		}
		tat := c.tat.Load()
		if tat != claimed && c.tat.CompareAndSwap(tat, q.charge(tat, now, n)) && c.hash.Load() == hash {
			return
		}
	}
}

// refund takes n off the key's account.
func (k *Keyed) refund(q *quota, now int64, key string, n uint64) {
	t := &k.table
	hash := t.hash(key)
	for {
		c := t.find(hash)
		if c == nil {
			return
		}
		tat := c.tat.Load()
		next := q.refund(tat, now, n)
		switch {
		case tat == claimed, tat <= now:
			return
		case !c.tat.CompareAndSwap(tat, next):
		case c.hash.Load() == hash:
			return
		default:
			c.raise(tat - next) // another key's: it must not gain by it
		}
	}
}
