package concurrency

import (
	"sync/atomic"
	"time"
)

// tally counts what did not get a permit, by rank.
type tally struct {
	full, shed, displaced, timedOut, gone, tooLarge [classes]atomic.Uint64
	pressurePanics                                  atomic.Uint64
	tickets                                         uint64 // limits.limitMu guards it
}

// Stats is a snapshot of a [Limiter]. The uint64 fields count since New and
// never fall; the others are as of now.
type Stats struct {
	Limit    int // permits that may be out now, without Pressure
	Max      int // Config.Max, or as SetMax said
	InFlight int // permits that are out
	Queued   int // calls that wait

	MaxQueue      int
	MaxBytes      int64
	BytesInFlight int64

	Acquired       uint64 // permits given out
	PressurePanics uint64 // of Config.Pressure

	Pressure float64       // as Config.Pressure last said, 0 to 1
	Latency  time.Duration // geometric mean of the last window; Adaptive only, 0 before the first
	Baseline time.Duration // what Latency is compared with; Adaptive only, 0 before the first

	Classes [4]ClassStats // most critical first
}

// ClassStats is about the calls of one class that got no permit.
type ClassStats struct {
	Class     Criticality
	QueueFull uint64 // failed with ErrQueueFull
	Shed      uint64 // failed with ErrShed when they came
	Displaced uint64 // failed with ErrShed while they waited: another took their place, or Pressure
	TimedOut  uint64 // failed with ErrTimeout
	Gone      uint64 // whose context ended while they waited
	TooLarge  uint64 // failed with ErrTooLarge
	Queued    int    // that wait now
}

// Stats takes a snapshot.
func (l *Limiter) Stats() Stats {
	l.limitMu.Lock()
	defer l.limitMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	state := l.state.Load()
	s := Stats{
		Limit:          l.limits.now,
		Max:            l.limits.max,
		InFlight:       int(inFlight(state)),
		Queued:         l.queued,
		MaxQueue:       l.cfg.MaxQueue,
		MaxBytes:       l.cfg.MaxBytes,
		BytesInFlight:  l.bytes.Load(),
		Acquired:       l.acquired(state),
		PressurePanics: l.pressurePanics.Load(),
		Pressure:       l.pressure,
		Latency:        time.Duration(l.controller.last.time()),
		Baseline:       time.Duration(l.controller.base.time()),
	}
	for rank := range classes {
		c := &s.Classes[rank]
		*c = ClassStats{
			Class:     CriticalPlus - Criticality(rank),
			QueueFull: l.full[rank].Load(),
			Shed:      l.shed[rank].Load(),
			Displaced: l.displaced[rank].Load(),
			TimedOut:  l.timedOut[rank].Load(),
			Gone:      l.gone[rank].Load(),
			TooLarge:  l.tooLarge[rank].Load(),
		}
		for w := l.queues[rank].first; w != nil; w = w.next {
			c.Queued++
		}
	}
	return s
}

// acquired is the number of tickets given out, more than state has bits for:
// it counts on being called once in 2⁴³ of them, which at a million a second
// is three months.
func (l *Limiter) acquired(state uint64) uint64 {
	l.tally.tickets += (state>>ticketShift - l.tally.tickets) & ticketMask
	return l.tally.tickets
}
