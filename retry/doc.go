// Package retry makes calls again that failed for a while, within a budget: it
// helps when one call in a hundred fails, and does no harm when all of them do.
//
//	retrier, err := retry.New(retry.Config{Name: "models", PerAttempt: 2 * time.Second})
//	…
//	answer, err := retry.Call(ctx, retrier, func(ctx context.Context) (Answer, error) {
//		return client.Ask(ctx, question)
//	})
//
// A call that succeeds at once costs about 5 ns and no allocation. One that fails is
// made again after a random wait that doubles each time, unless that makes no
// sense: the deadline would come first, the error will not go away, or the
// [Budget] that all calls share has nothing left. Without one, three attempts of
// each call are three times the load for a service that is down because of its
// load.
//
//	New, Do, Call              retries in the process, of whatever returns an error
//	FullJitter, DecorrelatedJitter   schedules; those of cenkalti/backoff/v4 fit too
//	Permanent, After           let a function say what becomes of its error
//	NewTransport, Middleware   HTTP clients, and servers that heed their callers' attempts
//	Hedge                      a second call when the first is slow, for the tail of the latency
//	retry/retrygrpc            interceptors
//	retry/retryprom            Prometheus
//
// # Place in the chain
//
// On the client's side: tracing of the call, logging, retry, breaker, ratelimit,
// auth, tracing of the attempt, base. Retries are outside the breaker: it sees
// every attempt, and when it opens its error, which is not retryable, ends them.
// Retry in one place only, as near to the user as possible: each layer would
// multiply. Where there are several, they find out: the attempt's number goes
// along in the context ([Attempt]) and between processes ([AttemptHeader]), and
// what serves a retry does not retry itself ([ErrNested]).
//
// # Errors
//
// What a failed attempt is followed by, the first that applies:
//
//	ctx has ended                       no retry; ctx's error and cause, in an *Error
//	the error's Retryable() is false    no retry; the error as it is
//	the error's Retryable() is true     a retry
//	Config.Retryable                    as it says; if no: the error as it is
//	context.Canceled                    no retry, but for ErrAttemptTimeout; the error as it is
//	all others, timeouts included       a retry
//
// What then keeps it from being retried is the Why of the *[Error] that is returned:
//
//	ErrNested                   the call is part of a retry; its caller may retry the *Error
//	ErrExhausted                MaxAttempts, or the schedule's end
//	context.DeadlineExceeded    there is not enough time; said at once, not when it is over
//	ErrBudget                   the budget
//	context.Canceled            ctx has ended during the wait
//
// Any error may have the methods Retryable() bool and RetryDelay() time.Duration,
// and so may one that it wraps: the first that has is asked. RetryDelay is the
// least that is waited, up to Config.MaxDelay. An *Error is not retryable itself,
// but for ErrNested.
//
// # Coming from elsewhere
//
//   - cenkalti/backoff: Retry(op, b) is retrier.Do(ctx, fn), where Config.Backoff makes b anew; Permanent is Permanent.
//   - avast/retry-go: Do(fn, Attempts(n), RetryIf(f)) is Do with MaxAttempts and Retryable; Unrecoverable is Permanent.
//
// # Concurrency and goroutines
//
// Everything is safe for concurrent use. Do and Call run in the caller's
// goroutine, start none, and leave no timer behind. Hedge starts one for each
// call that it makes, and does not wait for those that lose: they belong to the
// [Hedger], whose Close waits for them or says how many still run. Nothing has a
// finalizer or a clock of its own, so that all of it works inside a
// testing/synctest bubble.
//
// # What it does not do
//
// It does not know whether a call may be made twice: Do makes it as often as it
// is told, and only NewTransport looks at HTTP methods. It does not turn a panic
// into a retry, nor into an error. It does not stop a function that ignores its
// context. It does not limit how much runs at once (ratelimit/concurrency) and
// does not stop calling what is broken (breaker): the budget bounds what retries
// add, not the calls. It does not log, and counts only calls that fail at first.
package retry
