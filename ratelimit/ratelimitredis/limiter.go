package ratelimitredis

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"github.com/ballast-go/ballast/ratelimit"
)

// A Limiter is a [ratelimit.Limiter] whose limits all processes that use the
// same Redis and Prefix share. It is safe for concurrent use.
type Limiter struct {
	cfg     Config
	client  redis.UniversalClient
	id      string // of the holder; "" in exact mode
	base    time.Time
	lanes   []*lane
	local   *ratelimit.Keyed // of LocalFallback
	leases  leases
	holders atomic.Int64
	stats   counters
	closed  atomic.Bool
	closing sync.Once
	running sync.WaitGroup // round trips
}

// New returns a limiter, or everything that is wrong with cfg. It does not talk
// to Redis, which may well be down. The client stays the caller's, who closes
// it after the limiter.
func New(client redis.UniversalClient, cfg Config) (*Limiter, error) {
	cfg, err := cfg.withDefaults(client)
	if err != nil {
		return nil, err
	}
	l := &Limiter{cfg: cfg, client: client, base: time.Now()}
	if cfg.Mode == Leased {
		l.id = rand.Text()
		l.leases.init(l)
	}
	if cfg.OnOutage == LocalFallback {
		if l.local, err = newShare(cfg); err != nil {
			return nil, err
		}
	}
	for i := range cfg.Shards {
		tag := cfg.Prefix + tagOf(i)
		ln := &lane{lim: l, prefix: tag, holders: tag + "holders"}
		ln.watch = time.AfterFunc(time.Hour, ln.expire)
		ln.watch.Stop()
		l.lanes = append(l.lanes, ln)
	}
	return l, nil
}

// now is a monotonic time; never 0.
func (l *Limiter) now() int64 { return int64(time.Since(l.base)) + 1 }

// longKey is what a key may be long to be part of Redis's as it is.
const longKey = 128

// canonical is what a key is called in Redis after the hash tag. Of long ones
// it is the SHA-256, so that nobody fills Redis's memory with keys of a
// megabyte.
func canonical(key string) string {
	if len(key) <= longKey {
		return ":" + key
	}
	sum := sha256.Sum256([]byte(key))
	return "#" + hex.EncodeToString(sum[:])
}

// limitOf returns a key's limit.
func (l *Limiter) limitOf(key string) (ratelimit.Limit, error) {
	if l.cfg.LimitFor != nil {
		if limit, ok := l.cfg.LimitFor(key); ok {
			if err := limit.Validate(); err != nil {
				return limit, fmt.Errorf("ratelimitredis: Config.LimitFor: %w", err)
			}
			return limit, nil
		}
	}
	return l.cfg.Limit, nil
}

// AllowN implements [ratelimit.Limiter]. It waits for Redis no longer than
// Config.Timeout, or until ctx ends, which makes ctx's error the call's. When
// Redis does not answer, Config.OnOutage decides: FailClosed denies and FailOpen
// allows with an error that is [ErrUnavailable], LocalFallback decides without an
// error.
//
// A call that was sent and not answered in time may have taken n. It is not
// given back.
func (l *Limiter) AllowN(ctx context.Context, key string, n int) (ratelimit.Decision, error) {
	limit, err := l.limitOf(key)
	switch {
	case err != nil:
	case n < 0:
		err = ratelimit.ErrCost
	case l.closed.Load():
		err = ErrClosed
	case ctx.Err() != nil:
		l.stats.canceled.Add(1)
		return ratelimit.Decision{}, ctx.Err()
	}
	if err != nil {
		l.stats.refused.Add(1)
		return ratelimit.Decision{}, err
	}
	ask := n
	if n > limit.Burst {
		ask = 0 // only look: it never fits
	}
	var d ratelimit.Decision
	if l.cfg.Mode == Leased && ask > 0 && len(key) <= longKey {
		var ok bool
		if d, ok, err = l.allowLeased(ctx, key, limit, ask); ok {
			return d, nil // counted there
		}
	} else {
		d, err = l.allowExact(ctx, key, limit, ask)
	}
	return l.conclude(key, limit, n, d, err)
}

// conclude counts what has become of a call, and has the last word where Redis
// has none.
func (l *Limiter) conclude(key string, limit ratelimit.Limit, n int, d ratelimit.Decision, err error) (ratelimit.Decision, error) {
	switch {
	case errors.Is(err, ErrClosed):
		l.stats.refused.Add(1)
		return ratelimit.Decision{}, err
	case err != nil && !errors.Is(err, ErrUnavailable):
		l.stats.canceled.Add(1)
		return ratelimit.Decision{}, err
	case n > limit.Burst:
		d = ratelimit.Decision{Limit: limit, Remaining: d.Remaining, RetryAfter: rate.InfDuration, ResetAfter: d.ResetAfter}
		l.stats.denied.Add(1)
		return d, nil
	case err != nil:
		return l.outage(key, limit, n, err)
	case d.OK:
		l.stats.allowed.Add(1)
	default:
		l.stats.denied.Add(1)
	}
	return d, nil
}

// allowExact asks Redis.
func (l *Limiter) allowExact(ctx context.Context, key string, limit ratelimit.Limit, n int) (ratelimit.Decision, error) {
	ln := l.laneOf(key)
	if !ln.usable() {
		return ratelimit.Decision{}, ln.unavailable(errDown)
	}
	c := newCall(canonical(key), opAsk, limit, n)
	if err := ln.ask(ctx, c, nil); err != nil {
		return ratelimit.Decision{}, err
	}
	d := decision(limit, n, c.taken, c.ok)
	c.free()
	return d, nil
}

func (l *Limiter) laneOf(key string) *lane { return l.lanes[shardOf(key, len(l.lanes))] }

// newCall returns a call about n of a key. n is not negative; what takes more
// than maxCost to recover is cut to that.
func newCall(key string, op op, limit ratelimit.Limit, n int) *call {
	c := calls.Get().(*call)
	each := interval(limit)
	c.key, c.op = key, op
	c.room = each * time.Duration(limit.Burst)
	c.cost = maxCost
	if float64(n)*float64(each) < float64(maxCost) {
		c.cost = each * time.Duration(n)
	}
	return c
}

// maxCost is the most that is charged at a time: above the 100 years that a
// Burst may come to, and two of them fit into what Redis keeps.
const maxCost = time.Duration(math.MaxInt64 / 2)

// decision is what the taken time of a key means for n of it.
func decision(limit ratelimit.Limit, n int, taken time.Duration, ok bool) ratelimit.Decision {
	each := interval(limit)
	room, cost := each*time.Duration(limit.Burst), each*time.Duration(n)
	d := ratelimit.Decision{OK: ok, Limit: limit}
	if n == 0 {
		d.OK = true
	} else if ok {
		taken += cost
	} else {
		d.RetryAfter = max(1, taken-room+cost) // in an order that does not overflow
	}
	d.Remaining = int(max(0, room-taken) / each)
	d.ResetAfter = taken
	return d
}

// Return implements [ratelimit.Limiter]. It waits like AllowN. An error means
// that Redis did not say that it was booked; LocalFallback books in this
// replica's share then, and returns none.
func (l *Limiter) Return(ctx context.Context, key string, n int) error {
	limit, err := l.limitOf(key)
	if err != nil {
		return err
	}
	if l.closed.Load() {
		return ErrClosed
	}
	if n == 0 {
		return nil
	}
	op := opCredit
	if n < 0 {
		op, n = opCharge, -max(n, -math.MaxInt)
	}
	ln := l.laneOf(key)
	if !ln.usable() {
		return l.returnFailed(ctx, key, op, n, ln.unavailable(errDown))
	}
	c := newCall(canonical(key), op, limit, n)
	if err := ln.ask(ctx, c, nil); err != nil {
		return l.returnFailed(ctx, key, op, n, err)
	}
	c.free()
	l.stats.returned.Add(1)
	return nil
}

// Close gives unused leases back, and waits until no round trip is under way.
// If ctx ends first, Close returns its error; they end by the client's own
// timeouts. Calls after Close fail with [ErrClosed].
func (l *Limiter) Close(ctx context.Context) error {
	l.closing.Do(func() {
		l.closed.Store(true)
		if l.cfg.Mode == Leased {
			l.leases.close()
		}
		for _, ln := range l.lanes {
			ln.mu.Lock()
			ln.closed = true
			ln.mu.Unlock()
		}
	})
	done := make(chan struct{})
	go func() {
		l.running.Wait()
		l.signOff(ctx)
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("ratelimitredis: round trips are still under way: %w", ctx.Err())
	}
}
