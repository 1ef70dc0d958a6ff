// Package breaker stops calling what is broken, and comes back to it without
// breaking it again.
//
//	b, err := breaker.New(breaker.Config{Name: "model"})
//	…
//	answer, err := breaker.Call(ctx, b, func(ctx context.Context) (Answer, error) {
//		return client.Generate(ctx, prompt)
//	})
//	if errors.Is(err, breaker.ErrOpen) { // nothing was called
//
// A [Breaker] is closed at first: calls go through and their outcomes are counted
// in a window of the last 10 seconds. It opens when, by a call that has just
// failed or was slow,
//
//   - so many calls in a row have failed (Config.ConsecutiveFailures),
//   - or such a share of the window has (FailureRate),
//   - or such a share was slow (SlowRate, if SlowAfter is set),
//
// and turns every call away. After a random time, longer after each return that
// failed, it is half open: a few probes go through. If they succeed it does not close
// at once, for a service with cold caches and empty pools that gets its full load back
// goes down a second time. It is recovering: the load that is let through begins with
// twice the probes' and doubles at most, each time after as long as 95 % of the calls
// take to be answered. It waits while answers become slow, and goes back where they
// fail. Once it is all that callers want, the breaker is closed again.
//
//	Breaker.Do, Call         around a function
//	Breaker.Allow            a [Permit] to be reported by hand: streams, callbacks
//	Group                    a breaker for each endpoint or model, with a hard cap
//	Fallback                 another model, a cached answer, in turn
//	Middleware, WriteError   HTTP servers: sheds while what is behind is broken
//	NewTransport             HTTP clients: bodies and streams are judged to their end
//	breaker/breakergrpc      interceptors
//	breaker/breakerprom      Prometheus
//
// # Outcomes
//
// A call is a Success, a Failure, or to be ignored. What its caller canceled is
// ignored, however it ended, and what ran out of its own time is a failure: it is
// service that was not given. That holds of time that a client has set, too, as by
// grpc-timeout or a header: else what hangs would not be found where all deadlines
// come from callers. Where clients are not trusted, give them a least time, or take
// the header away. Config.Classify says otherwise for errors of fn.
//
//	                               Do, Call   Middleware   NewTransport
//	nil, status below 500          Success    Success      Success, at the body's end
//	context.DeadlineExceeded       Failure                 Failure
//	caller canceled, client gone   Ignore     Ignore       Ignore
//	cut when a credential ended               Ignore       Ignore
//	ErrOpen of another breaker     Ignore     Ignore       Ignore
//	status 429                                Ignore       Ignore
//	status 500 and above                      Failure      Failure
//	cut after the first byte                  Failure      Failure
//	error event in a stream                   Failure      Failure
//	any other error                Failure                 Failure
//	panic, runtime.Goexit          Failure    Failure      Failure
//
// Panics go on to whoever recovers them; nothing is swallowed here.
//
// # Place in the chain
//
// On a server, in front of the handlers of what may break: recover, tracing,
// logging, metrics, auth, ratelimit, concurrency or breaker, handler. On a client,
// inside retries: tracing, logging, retry, breaker, ratelimit, auth, base. Each
// attempt is then a call of its own, and an open breaker ends the retrying, for an
// *[OpenError] says that it is not Retryable.
//
// # Errors
//
//	*OpenError (ErrOpen)           503  breaker-open, Retry-After
//	others that state Retryable    503  unavailable, Retry-After
//	context.DeadlineExceeded       504
//	context.Canceled, client gone  499  for logs and metrics
//	all others                     500
//
// # Concurrency
//
// Everything is safe for concurrent use and starts no goroutine; there is nothing to
// close. While a breaker is closed, and while it is open, a call takes no lock, but for
// the first to end in each 64th of the window. In testing/synctest, use a breaker in
// the bubble that it was made in.
//
// # What it does not do
//
// It does not retry, and it does not bound how many calls run at a time: see packages
// retry and ratelimit/concurrency. It does not end calls that hang: give them a
// deadline. It knows of this process's calls alone, and so each replica finds out by
// itself. One breaker in front of eight replicas sees an eighth of its calls fail when
// one of them is broken: a [Group] by endpoint stops calling that one.
package breaker
