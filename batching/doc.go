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
// an item that was canceled before is never computed.
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
//	  Do ───▶ ErrReentrant, ErrClosed, ErrQueueFull, or ctx is over already
//	   │
//	   ▼
//	┌────────┐ ctx ends ────────────▶ ctx.Err(), never computed
//	│ queued │
//	└────────┘ Abort ───────────────▶ ErrClosed
//	   │ an instance is free
//	   ▼
//	┌────────┐ ctx ends ────────────▶ ctx.Err(); Slot.Gone is true
//	│        │ Slot.Set ────────────▶ the value
//	│ in run │ Slot.Fail ───────────▶ the item's error
//	│        │ run returns an error ▶ that error
//	│        │ run panics ──────────▶ *PanicError
//	└────────┘ run just ends ───────▶ ErrNoResult
//
// Whichever comes first is the call's only outcome, and [Stats] counts it once.
//
// # Errors
//
// [WriteError] maps them so, and every body is application/problem+json:
//
//	ErrQueueFull                   503  queue-full, Retry-After
//	ErrClosed                      503  draining, Retry-After
//	others that state Retryable    503  unavailable, Retry-After
//	context.DeadlineExceeded       504
//	context.Canceled, client gone  499  for logs and metrics
//	all others                     500  among them ErrNoResult, *PanicError
//
// # Concurrency and goroutines
//
// A Batcher is safe for concurrent use. [New] starts Config.Instances
// goroutines; they belong to the Batcher and end after [Batcher.Close] or
// [Batcher.Abort], when run has returned and nothing waits. A Batcher that is
// not closed keeps them. There is no goroutine and no timer per call. A panic
// in run stays on its instance, which goes on; a panic in a goroutine that run
// starts is out of reach and ends the process.
//
// In testing/synctest, a Batcher belongs to the bubble that New was called in:
// use and close it there.
//
// # What it does not do
//
// It has no timeout for run: a backend that hangs keeps its instance, while
// its callers leave by their own contexts. It does not retry, cache, or merge
// equal items, and it does not log: errors go to callers, numbers to Stats. It
// does not schedule inside a backend that batches by itself (continuous
// batching, KV caches): call that directly.
package batching
