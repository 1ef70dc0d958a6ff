package main

import (
	"context"
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/ratelimit/ratelimitprom"
	"github.com/ballast-go/ballast/ratelimit/ratelimitredis"
	"github.com/ballast-go/ballast/ratelimit/ratelimitredis/ratelimitredisprom"
)

// maxClients is for how many clients at a time there is room in this process's
// memory, at 23 bytes each.
const maxClients = 1 << 16

// limits is the limit of each client, which may be none.
type limits struct {
	limiter ratelimit.Limiter // nil: no limit
	key     ratelimit.KeyFunc // whoever has said who they are, or an address

	shared *ratelimitredis.Limiter // nil: the limit is this process's own
	client *redis.Client
}

// newLimits connects to Redis when the first request comes, and not before: a
// Redis that is down is no reason not to start.
func newLimits(cfg *config, registry prometheus.Registerer) (*limits, error) {
	l := &limits{key: byCaller(ratelimit.ByClientIP(cfg.trustedProxies))}
	if cfg.rateLimit == 0 {
		return l, nil
	}
	limit := ratelimit.PerMinute(float64(cfg.rateLimit))
	if cfg.redis == nil {
		local, err := ratelimit.New(ratelimit.Config{Limit: limit, MaxKeys: maxClients})
		if err != nil {
			return nil, err
		}
		registry.MustRegister(ratelimitprom.NewCollector("requests", local))
		l.limiter = local
		return l, nil
	}
	l.client = redis.NewClient(cfg.redis)
	var err error
	l.shared, err = ratelimitredis.New(l.client, ratelimitredis.Config{
		Limit:    limit,
		OnOutage: ratelimitredis.LocalFallback, // a dead Redis takes no replica with it
		Replicas: cfg.redisReplicas,
		Prefix:   "ballast-serving:requests:",
		MaxKeys:  maxClients,
	})
	if err != nil {
		return nil, errors.Join(err, l.client.Close())
	}
	registry.MustRegister(ratelimitredisprom.NewCollector("requests", l.shared))
	l.limiter = l.shared
	return l, nil
}

// each limits a handler's requests by client.
func (l *limits) each(h http.HandlerFunc) http.Handler {
	if l.limiter == nil {
		return h
	}
	return ratelimit.Middleware(l.limiter, ratelimit.MiddlewareConfig{Key: l.key})(h)
}

// ping fails while Redis does not answer: the service is degraded then, and ready,
// for each replica enforces its part of the limit.
func (l *limits) ping(ctx context.Context) error { return l.client.Ping(ctx).Err() }

func (l *limits) close(ctx context.Context) error {
	if l.shared == nil {
		return nil
	}
	return errors.Join(l.shared.Close(ctx), l.client.Close())
}
