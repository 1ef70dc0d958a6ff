// Package ratelimit decides how much of a service each caller may have: so many
// requests, tokens or bytes at once, and so many a second in the long run.
//
//	limiter, err := ratelimit.New(ratelimit.Config{Limit: ratelimit.PerMinute(100)})
//	…
//	limit := ratelimit.Middleware(limiter, ratelimit.MiddlewareConfig{
//		Key: ratelimit.ByClientIP(ratelimit.TrustedProxies{netip.MustParsePrefix("10.0.0.0/28")}),
//	})
//	http.ListenAndServe(":8080", limit(mux))
//
// A [Limit] is a burst and a rate, and the rule is exact (GCRA): in any span of
// time t, wherever it begins, a key gets no more than Burst + Rate·t. There are
// no windows, and so no edges of windows.
//
//	New                   a limiter in this process's memory
//	All                   several limits at once: per minute and per day, key and tenant
//	Reserve               work of which the cost is known afterwards: LLM tokens
//	Middleware, SetHeaders, WriteError    HTTP servers
//	NewTransport          HTTP clients: calls are paced, Retry-After is honoured
//	ratelimit/concurrency           how much may run at a time, rather than how often
//	ratelimit/ratelimitgrpc         interceptors
//	ratelimit/ratelimitprom         Prometheus
//	ratelimit/ratelimitredis        one limit for many processes; a module of its own
//
// # Place in the chain
//
// Behind what finds out who is calling, before everything that costs something:
// recover, tracing, logging, metrics, auth, ratelimit, concurrency or breaker,
// handler, batching, backend. A request is let through or turned away before its
// body is read. Behind an observer of this library's (logging, metrics) the
// time of a decision is when the request began, and no clock is read for it.
// On the client's side: retry, breaker, ratelimit, auth, tracing, base.
//
// # Errors
//
// To be turned away is a [Decision], not an error. Where there is only an
// error to return, it is a *[LimitedError]. [WriteError] maps them so, and every
// body is application/problem+json:
//
//	*LimitedError                  429  rate-limited, Retry-After
//	*LimitedError, never possible  429  cost-exceeds-limit
//	others that state Retryable    503  unavailable, Retry-After
//	context.DeadlineExceeded       504
//	context.Canceled, client gone  499  for logs and metrics
//	all others                     500  ErrCost, ErrExpired, a limiter that failed
//
// Retry-After is rounded up and then jittered upward: clients that were turned
// away together do not come back together, and none comes back early. Behind a
// Middleware all answers have the fields RateLimit and RateLimit-Policy, but for
// those that no limit was asked about: a limiter has failed, or the rules of an
// All cost the request nothing. And an httputil.ReverseProxy clears the header,
// whoever set it, when its upstream sends a 1xx.
//
// # Memory
//
// A [Keyed] allocates its cells in New, about 23 bytes for each of
// Config.MaxKeys, and nothing afterwards: what clients send never makes it grow.
// A key is one atomic word beside its hash. One that has used some of its limit is
// never evicted to make room for others, or it would be back with a full burst:
// cells are reused once their key has recovered. If there is no such cell, keys
// that are new share one, which lets too little through rather than too much,
// and [Stats] counts those calls. Hashes are seeded: nobody can make up keys
// that collide.
//
// # Concurrency and goroutines
//
// Everything is safe for concurrent use and starts no goroutine; there is
// nothing to close. In testing/synctest, use a limiter in the bubble that it was
// made in.
//
// # What it does not do
//
// It does not queue: a server that lets callers wait for a limit has them hold
// memory and connections meanwhile. Only NewTransport waits, for its own
// process. It does not retry. It does not authenticate, and a key that the
// client can choose freely limits nobody. It does not log: numbers are in Stats.
// Each process counts for itself, and n replicas allow n times the limit, unless
// they share ratelimitredis.
package ratelimit
