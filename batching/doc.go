// Package batching gathers single calls into batches. Many goroutines each
// submit one item; the [Batcher] hands them to a backend together, on one or
// more instances, and gives each caller its own answer. It decides what runs
// together and when, and what becomes of everyone when something goes wrong:
//
//	b, err := batching.New(func(ctx context.Context, in []Image, out []batching.Slot[Label]) error {
//		for i, label := range model.Predict(ctx, in) {
//			out[i].Set(label)
//		}
//		return nil
//	}, batching.Config[Image]{MaxBatchSize: 32, MaxQueue: 1024})
//	…
//	label, err := b.Do(r.Context(), image)
//
// An item never waits for company while an instance is idle, unless
// [Config].Linger says so; batches form from what arrives while all instances
// are busy. An instance takes its items only when it is free to run them, so
// an item that was canceled before is never computed, and what is most urgent
// then goes first. Everything else is off until its field of [Config] is set:
//
//	TargetLatency            shed what cannot be in time, and keep the goodput
//	BatchTimeout             answer the callers of a backend that hangs, and replace it
//	Priority, Tenant         who goes first, and who gets how much
//	Group, Cost, Sizes       what may share a batch, and how much fits into one
//	Instances, LockOSThread  how many run at a time, and where
//	OnBatch                  who hears of each batch: package tracing's BatchHook
//
// # Place in the chain
//
// Behind everything that can turn a request away, before the backend: recover,
// tracing, logging, metrics, auth, ratelimit, concurrency or breaker, handler,
// batching, backend. Do knows no transport. In gRPC and HTTP handlers alike,
// give it the request's context.
//
// # A waiter's states
//
//	  Do ───▶ ErrReentrant, ErrClosed, ErrQueueFull, ErrTooLarge, *ShedError,
//	   │      or ctx is over already
//	   ▼
//	┌────────┐ ctx ends ────────────▶ ctx.Err(), never computed
//	│        │ no time left ────────▶ *ShedError, never computed
//	│ queued │ place lost ──────────▶ ErrQueueFull, never computed
//	└────────┘ Abort ───────────────▶ ErrClosed, never computed
//	   │ an instance is free
//	   ▼
//	┌────────┐ ctx ends ────────────▶ ctx.Err(); Slot.Gone is true
//	│        │ Slot.Set ────────────▶ the value
//	│        │ Slot.Fail ───────────▶ the item's error
//	│ in run │ run returns an error ▶ that error
//	│        │ run panics ──────────▶ *PanicError
//	│        │ run hangs ───────────▶ ErrBatchTimeout
//	└────────┘ run just ends ───────▶ ErrNoResult
//
// Whichever comes first is the call's only outcome, and [Stats] counts it once.
//
// # Order
//
// A free instance takes the best item that waits, and then the next best that
// may share its batch: of the same group; by priority, with one place in eight
// for what has waited too long at a less urgent level; by tenant, whoever got
// least for its weight; by deadline, in steps of a millisecond; by arrival. An
// item without a deadline counts as due half a second after it came.
//
// # Errors
//
// [WriteError] maps them so, and every body is application/problem+json.
// batchinggrpc.Status(ctx, err) does the same for gRPC.
//
//	ErrQueueFull                   503  queue-full, Retry-After
//	ErrShed                        503  shed, Retry-After
//	ErrClosed                      503  draining, Retry-After
//	others that state Retryable    503  unavailable, Retry-After
//	ErrBatchTimeout                504
//	context.DeadlineExceeded       504
//	ErrTooLarge                    413
//	context.Canceled, client gone  499  for logs and metrics
//	all others                     500  among them ErrNoResult, *PanicError
//
// # Concurrency and goroutines
//
// A Batcher is safe for concurrent use. Do takes no lock to hand its item in,
// but for one that would otherwise be refused. [New] starts Config.Instances
// goroutines, and one that wakes callers while the next batch runs; they belong
// to the Batcher and end after [Batcher.Close] or [Batcher.Abort], when run has
// returned and nothing waits. A Batcher that is
// not closed keeps them. A run that hangs past BatchTimeout costs a goroutine
// more until it returns, of at most Instances. There is no goroutine and no
// timer per call. A panic in run stays on its instance, which goes on; a panic
// in a goroutine that run starts is out of reach and ends the process.
//
// In testing/synctest, a Batcher belongs to the bubble that New was called in:
// use and close it there.
//
// # What it does not do
//
// It cannot stop a run: without BatchTimeout one that hangs keeps its instance,
// while its callers leave by their own contexts. It sees that Do is called from
// inside run only by run's own context: through another batcher's run, or
// without that context, such a call waits until its context ends. It does not
// retry, cache, or merge equal items, and it does not log: errors go to callers,
// numbers to Stats. It does not schedule inside a backend that batches by itself
// (continuous batching, KV caches): call that directly.
package batching
