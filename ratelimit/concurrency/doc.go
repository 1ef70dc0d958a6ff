// Package concurrency bounds how much a service does at once. It decides who
// begins now, who waits, and who is turned away when there is more to do than
// can be done:
//
//	l, err := concurrency.New(concurrency.Config{Adaptive: &concurrency.Adaptive{}, MaxQueue: 100})
//	…
//	p, err := l.Acquire(ctx)
//	if err != nil {
//		return err // ErrQueueFull, ErrShed, ErrTimeout, or ctx's
//	}
//	defer p.Release()
//
// A rate limit cannot do that: how many calls a second a service can take
// depends on what they ask for, and how many at a time on what the service is.
// The limit is Config.Max or, with [Adaptive], what the latency of the calls
// says the service can take; where answers are streams, the time to their first
// byte. MaxBytes bounds what calls hold in memory besides.
//
// # Place in the chain
//
// logging.Recover → tracing → logging → metrics → auth → ratelimit →
// concurrency/breaker → handler → batching → backend. It stands behind what
// turns requests away for less, and before the body is read. [Middleware] makes
// the shared per-request state if nobody did. It belongs inside an
// http.TimeoutHandler: outside of it, the permit is free when the answer is a
// 503, while the handler still works. Mounted for the whole service and for a
// route, the route's is the inner one.
//
// # Classes
//
// A call is CriticalPlus, Critical, SheddablePlus or Sheddable, as its context
// says ([ContextWithCriticality]) or the header of a trusted peer; see
// [MiddlewareConfig]. When it gets tight the lower ones go first:
//
//	               share of limit, queue, bytes   under Config.Pressure
//	CriticalPlus   all                            all
//	Critical       all                            from 0.75 on less, at least 1
//	SheddablePlus  three quarters                 from 0.5 on less
//	Sheddable      half                           from 0.25 on less
//
// A share is of the whole, not a part set aside: Sheddable calls are let in as
// long as all that is in flight, of any class, is less than half of the limit.
// Who waits gets in by class, then in the order of arrival, and nobody
// overtakes one of the same or a higher class, even if he asks for less. Where a
// class has used its share of the queue, a call takes the place of the newest one
// of the lowest class below its own, which gets ErrShed. Most critical is not most urgent: what everybody
// sets high is as good as not set.
//
// # Errors
//
// [WriteError] maps them so, and every body is application/problem+json.
// concurrencygrpc does the same for gRPC.
//
//	ErrQueueFull                   503  queue-full, Retry-After
//	ErrShed                        503  shed, Retry-After
//	ErrTimeout                     503  queue-timeout, Retry-After
//	others that state Retryable    503  unavailable, Retry-After
//	ErrTooLarge                    413
//	context.DeadlineExceeded       504
//	context.Canceled, client gone  499  for logs and metrics
//	all others                     500
//
// # The adaptive limit
//
// What is compared is the geometric mean of the latencies in a window of calls
// with that in a probe, in which half as many are in flight. See [Adaptive] for
// the rule, and its tests for what comes of it: after an hour at twice the
// capacity of a simulated service with 40 slots and calls of 400 ms, the limit
// is 52 on average, calls take 508 ms, and 98.6 % of the capacity is used. A port
// of Netflix' Gradient2 is at its maximum, 1000, within half an hour, and calls
// take seconds. A service that takes ten seconds for a call needs minutes to be
// known: a window is up to two calls long. Permits that are held for good, as
// those of WebSockets are, count like others: if they take half of the limit,
// there is no measuring with half of it, and a baseline stays what it is. Give
// them a limiter of their own. The limit finds how much at a time;
// in front of a pool of known size Max alone is better.
//
// # Concurrency and ownership
//
// Everything is safe for concurrent use. The package starts no goroutine, and
// a timer only for a call that waits; there is nothing to close. A call that
// need not wait takes no lock: Acquire is one compare-and-swap, Release two
// atomic operations, and neither allocates, but for 4 KiB every 255 permits.
// AcquireBytes allocates once. While calls wait, these take a lock. Above 10,000
// calls a second one in sixteen is timed, and asks for the pressure.
//
// Whoever got a permit must release it. A second Release does nothing, at any
// time; a permit that is dropped without one is lost until the process ends.
// Limiters are made in the life of the clock that they are used in: in
// testing/synctest make them inside the bubble.
//
// # What it does not do
//
// It does not share a limit between processes, cap a single client's share
// (that is ratelimit), stop work that has begun, or bound the time that a client
// takes to send its body: set http.Server.ReadTimeout for that. It knows what it
// is told of memory, not what a handler makes of it, and does not log.
package concurrency
