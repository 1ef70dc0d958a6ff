package batching

import "time"

// Stats is a snapshot of a [Batcher]. The uint64 fields and what [Histogram]
// holds count since New and never fall; the int fields are as of now.
//
// Every accepted call is in exactly one place at every moment:
//
//	Submitted = Queued + CancelledQueued + Displaced + Expired + Aborted + Items
//	Items     = Running + CancelledRunning + Answered + Failed + TimedOut
//
// After Close has returned nil, Queued, Running, Busy and Hung are 0 (but for
// the instant in which a goroutine that outlived run gives its last answer). Calls
// that end before the queue for another reason than those here (context
// already over, ErrReentrant, ErrTooLarge) are not counted.
type Stats struct {
	Name     string // Config.Name
	MaxQueue int    // Config.MaxQueue, or its default: what Queued can come to

	Submitted      uint64 // calls accepted into the queue
	RejectedFull   uint64 // calls that failed with ErrQueueFull, and were not accepted
	RejectedClosed uint64 // calls that came after Close or Abort
	Shed           uint64 // calls that failed with a *ShedError, and were not accepted

	CancelledQueued uint64 // calls whose context ended before their item was computed
	Displaced       uint64 // calls that lost their place in a full queue to another, and failed with ErrQueueFull
	Expired         uint64 // calls whose time had run out when their turn came, and that failed with a *ShedError
	Aborted         uint64 // calls that Abort took out of the queue

	CancelledRunning uint64 // calls whose context ended while their item was in run
	Answered         uint64 // calls that got a value
	Failed           uint64 // calls that got an error of run's: its own, Fail's, a panic, no result
	TimedOut         uint64 // calls that failed with ErrBatchTimeout

	Batches  uint64 // calls of run
	Items    uint64 // items handed to run
	Padding  uint64 // what was missing to the next of Config.Sizes, in items
	Panics   uint64 // calls of run that panicked
	Timeouts uint64 // calls of run that took longer than BatchTimeout

	HookPanics uint64 // calls of OnBatch, or of what it returned, that panicked

	Queued  int // items that wait for an instance
	Running int // items handed to run that have no outcome yet
	Busy    int // instances inside run
	Hung    int // calls of run that took longer than BatchTimeout and have not returned

	// Saturation is how much of what the instances could compute in full
	// batches they did compute, 0 to 1, averaged over the last ten seconds or
	// so with the older ones counting less. Unlike requests per second, which
	// stay the same once a service is overloaded, and unlike busy time, which
	// batches of one can fill, it tells how much room is left.
	Saturation float64

	Seals     Seals
	Instances []InstanceStats // one for each of Config.Instances
	BatchSize Histogram       // items a batch
	QueueWait Histogram       // seconds from Do to run, of items handed to run
	RunTime   []RunTime       // by batch size, smallest first
}

// Seals counts why batches were closed to more items. They add up to Batches.
type Seals struct {
	Full     uint64 // it could take no more: MaxBatchSize, MaxBatchCost or one of Sizes
	Idle     uint64 // it held all that waited, and its instance was idle
	Linger   uint64 // Linger had passed
	Deadline uint64 // lingering on would have cost an item its deadline
	Close    uint64 // the batcher was being closed
}

// InstanceStats is about one instance.
type InstanceStats struct {
	Batches  uint64        // calls of run
	BusyTime time.Duration // spent in run, up to now; its rate is the busy ratio
	Busy     bool          // inside run
	Model    CostModel
}

// CostModel is a line fitted to the latest runs of an instance that succeeded:
// a batch of n units is expected to take Fixed + n·PerUnit. Units are Sizes
// after padding if there are any, else Cost. All are 0 before the first run.
type CostModel struct {
	Fixed    time.Duration
	PerUnit  time.Duration
	Residual time.Duration // standard deviation of what runs took from that
}

// RunTime is how long batches of up to MaxSize items, and more than the
// MaxSize before, were in run. Runs that took longer than BatchTimeout are in
// it when they return.
type RunTime struct {
	MaxSize int
	Seconds Histogram
}

// Histogram counts observations: Counts[i] of those that are at most Bounds[i]
// and above the bound before. Counts has one element more than Bounds, for
// those above all. Treat Bounds as read-only.
type Histogram struct {
	Bounds []float64 // ascending
	Counts []uint64
	Sum    float64
}

// Stats takes a snapshot. It is safe for concurrent use, and holds up batches
// for some microseconds: call it at a scrape, not at a request.
func (b *Batcher[In, Out]) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.ledger // a copy, to which the outcomes of what runs are added
	now := b.now()
	s := Stats{
		Name:           b.cfg.Name,
		MaxQueue:       b.cfg.MaxQueue,
		RejectedFull:   b.rejectedFull.Load(),
		RejectedClosed: b.rejectedClosed.Load(),
		Shed:           b.shed.Load(),
		Queued:         int(b.places.Load() >> 1),
		Hung:           b.hanging(),
	}
	s.Busy = len(b.batches) - s.Hung
	for _, inst := range b.instances {
		s.Instances = append(s.Instances, InstanceStats{
			Batches:  inst.batches,
			BusyTime: time.Duration(inst.busy),
			Model:    inst.model.snapshot(),
		})
	}
	used := l.used.value(now)
	for _, work := range b.batches {
		if work.hung {
			continue // folded, and its instance is not there any more
		}
		l.fold(work.outcomes.Load(), 0)
		inst := &s.Instances[work.inst.id]
		inst.Batches++
		inst.BusyTime += time.Duration(now - work.start)
		inst.Busy = true
		used += work.gain * weigh(now-work.start)
	}
	for _, t := range b.settling {
		l.fold(t.outcomes.Load(), t.late)
	}
	for range b.vacant {
		used += weigh(now) // it can take nothing
	}
	if used > 0 {
		s.Saturation = min(1, used/(weigh(now)*float64(len(b.instances))))
	}

	s.Submitted = uint64(s.Queued) + l.left()
	s.CancelledQueued, s.Displaced, s.Expired, s.Aborted = l.cancelledQueued, l.displaced, l.expired, l.aborted
	s.CancelledRunning, s.Answered, s.Failed, s.TimedOut = l.cancelledRunning, l.answered, l.failed, l.timedOut
	s.HookPanics = l.hookPanics
	s.Batches, s.Items, s.Padding, s.Panics, s.Timeouts = l.batches, l.items, l.padding, l.panics, l.timeouts
	s.Running = int(s.Items - s.CancelledRunning - s.Answered - s.Failed - s.TimedOut)
	s.Seals = Seals{l.seals[sealFull], l.seals[sealIdle], l.seals[sealLinger], l.seals[sealDeadline], l.seals[sealClose]}
	s.BatchSize = l.batchSize.snapshot()
	s.QueueWait = l.queueWait.snapshot()
	for i := range l.runTime {
		s.RunTime = append(s.RunTime, RunTime{l.batchSize.bound(i), l.runTime[i].snapshot()})
	}
	return s
}
