package tracingotlp

import "sync/atomic"

// Stats is a snapshot of a [Provider]. The uint64 fields count sampled spans, or
// requests, since New and never fall; the int fields are as of now.
//
// Every span that ended is in exactly one of Exported, Rejected, Failed,
// DroppedFull, DroppedLarge, DroppedClosed and Queued; one that ends while the
// snapshot is taken may be missing, or in two of them.
type Stats struct {
	Started uint64 // sampled spans that began
	Ended   uint64 // of these, the ones that ended

	Exported      uint64 // spans that the collector has
	Rejected      uint64 // spans that it would not have, of a request that it accepted
	Failed        uint64 // spans that were given up: it did not take the request, or did not say so
	DroppedFull   uint64 // spans that found the queue full
	DroppedLarge  uint64 // spans that are larger than 1 MiB, or than the whole queue
	DroppedClosed uint64 // spans that ended after Close, or were still waiting when it gave up

	Requests       uint64 // to the collector, repeated ones included
	FailedRequests uint64 // of these, the ones that it did not accept

	Queued      int // spans that ended and that the collector does not have yet
	QueuedBytes int // what they take, as far as Config.QueueBytes counts it
	QueueSize   int // Config.QueueSize: how many there may be
}

// Dropped is how many spans ended that nobody will see.
func (s Stats) Dropped() uint64 {
	return s.Rejected + s.Failed + s.DroppedFull + s.DroppedLarge + s.DroppedClosed
}

// counters are what Stats counts.
type counters struct {
	started, ended                           atomic.Uint64
	exported, rejected, failed               atomic.Uint64
	droppedFull, droppedLarge, droppedClosed atomic.Uint64
	requests, failedRequests                 atomic.Uint64
	queued, queuedBytes                      atomic.Int64
}

func (q *queue) stats() Stats {
	c := &q.counters
	ended := c.ended.Load() // before started: there are never more
	return Stats{
		Started: c.started.Load(), Ended: ended,
		Exported: c.exported.Load(), Rejected: c.rejected.Load(), Failed: c.failed.Load(),
		DroppedFull: c.droppedFull.Load(), DroppedLarge: c.droppedLarge.Load(), DroppedClosed: c.droppedClosed.Load(),
		Requests: c.requests.Load(), FailedRequests: c.failedRequests.Load(),
		Queued: int(c.queued.Load()), QueuedBytes: int(c.queuedBytes.Load()), QueueSize: q.QueueSize,
	}
}
