package ratelimitredis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/ballast-go/ballast/ratelimit"
)

// newShare returns the limiter that a replica falls back to.
func newShare(cfg Config) (*ratelimit.Keyed, error) {
	c := ratelimit.Config{Limit: share(cfg.Limit, cfg.Replicas), MaxKeys: cfg.MaxKeys}
	if err := c.Limit.Validate(); err != nil {
		return nil, fmt.Errorf("ratelimitredis: Config.Limit divided by Config.Replicas: %w", err)
	}
	if cfg.LimitFor != nil {
		c.LimitFor = func(key string) (ratelimit.Limit, bool) {
			limit, ok := cfg.LimitFor(key)
			return share(limit, cfg.Replicas), ok
		}
	}
	return ratelimit.New(c)
}

// share is a replica's part of a limit. Burst is rounded down, but at least 1:
// a replica that may have nothing could not serve at all.
func share(limit ratelimit.Limit, replicas int) ratelimit.Limit {
	limit.Rate /= rate.Limit(replicas)
	limit.Burst = max(1, limit.Burst/replicas)
	return limit
}

// outage is the decision about a call that Redis did not answer.
func (l *Limiter) outage(key string, limit ratelimit.Limit, n int, cause error) (ratelimit.Decision, error) {
	if n == 0 { // takes nothing, whatever the policy
		l.stats.allowed.Add(1)
		return ratelimit.Decision{OK: true, Limit: limit}, nil
	}
	part := share(limit, max(1, l.cfg.Replicas))
	switch {
	case l.cfg.OnOutage == FailOpen:
		l.stats.failedOpen.Add(1)
		return ratelimit.Decision{OK: true, Limit: limit}, cause
	case l.cfg.OnOutage == LocalFallback && part.Validate() == nil:
		d := l.local.AllowAt(time.Now(), key, n)
		if d.OK {
			l.stats.fallbackAllowed.Add(1)
			return d, nil
		}
		l.stats.fallbackDenied.Add(1)
		if d.RetryAfter == rate.InfDuration { // more than the share, not than the limit
			d.RetryAfter = l.probeEvery()
		}
		return d, nil
	}
	l.stats.failedClosed.Add(1)
	return ratelimit.Decision{Limit: limit, RetryAfter: l.probeEvery()}, cause
}

// returnFailed is what becomes of a Return that Redis did not answer. n is not
// negative.
func (l *Limiter) returnFailed(ctx context.Context, key string, op op, n int, cause error) error {
	if !errors.Is(cause, ErrUnavailable) {
		return cause
	}
	l.stats.returnedLost.Add(1)
	if l.local == nil {
		return cause
	}
	if op == opCharge {
		n = -n
	}
	return l.local.Return(context.WithoutCancel(ctx), key, n)
}
