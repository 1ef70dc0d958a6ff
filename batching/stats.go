package batching

import "sync/atomic"

// Stats is a snapshot of a [Batcher]. The uint64 fields count calls or items
// since New and never fall; the int fields are as of now.
//
// Every accepted call is in exactly one place at every moment:
//
//	Submitted = Queued + CancelledQueued + Aborted + Items
//	Items     = Running + CancelledRunning + Answered + Failed
//
// After Close has returned nil, Queued and Busy are 0, and so is Running when
// the last callers have returned from Do. Calls that end before the queue
// (context already over, ErrReentrant) are not counted.
type Stats struct {
	Name string // Config.Name

	Submitted      uint64 // calls accepted into the queue
	RejectedFull   uint64 // calls that failed with ErrQueueFull
	RejectedClosed uint64 // calls that came after Close or Abort

	CancelledQueued  uint64 // calls whose context ended before their item was computed
	Aborted          uint64 // calls that Abort took out of the queue
	CancelledRunning uint64 // calls whose context ended while their item was in run
	Answered         uint64 // calls that returned a value
	Failed           uint64 // calls that returned an error of run's: its own, Fail's, a panic, no result

	Batches uint64 // calls of run
	Items   uint64 // items handed to run
	Panics  uint64 // calls of run that panicked

	Queued  int // items that wait for an instance
	Running int // items handed to run whose call has not returned
	Busy    int // instances inside run
}

// ledger holds the counters that the batcher's mutex guards.
type ledger struct {
	submitted, rejectedFull, rejectedClosed uint64
	cancelledQueued, aborted                uint64
	batches, items, panics                  uint64
}

// outcomes are counted by the callers themselves, each just before its Do
// returns.
type outcomes struct {
	answered, failed, cancelled atomic.Uint64
}

// Stats takes a snapshot. It is cheap and safe for concurrent use.
func (b *Batcher[In, Out]) Stats() Stats {
	// Read before the items they belong to, outcomes never exceed them.
	s := Stats{
		Name:             b.cfg.Name,
		Answered:         b.outcomes.answered.Load(),
		Failed:           b.outcomes.failed.Load(),
		CancelledRunning: b.outcomes.cancelled.Load(),
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	l := &b.ledger
	s.Submitted, s.RejectedFull, s.RejectedClosed = l.submitted, l.rejectedFull, l.rejectedClosed
	s.CancelledQueued, s.Aborted = l.cancelledQueued, l.aborted
	s.Batches, s.Items, s.Panics = l.batches, l.items, l.panics
	s.Queued, s.Busy = b.queue.n, b.busy
	s.Running = int(s.Items - s.Answered - s.Failed - s.CancelledRunning)
	return s
}
