package batching

import (
	"context"
	"sync/atomic"
)

// Slot is where run puts one item's answer. The caller gets it at once, while
// run may go on with the other items.
//
// The first Set or Fail counts, later ones are ignored; so is one that comes
// after the caller left or after run returned. A Slot is used for one item
// only, so a goroutine that outlives run can never answer somebody else's
// call. All methods are safe for concurrent use. A zero Slot belongs to
// nobody and ignores everything. A Slot must not be copied.
type Slot[Out any] struct {
	state  atomic.Uint32
	run    *membership
	ready  chan<- struct{} // the waiter's; sent to once, by whoever moves state to answered
	answer Out
	err    error
}

// The states of a slot. Whoever moves it out of slotOpen, by compare-and-swap,
// decides the call's only outcome.
const (
	slotVoid     uint32 = iota // a zero Slot
	slotOpen                   // the caller waits
	slotAnswered               // answer and err are the caller's to read
	slotGone                   // the caller left
)

// membership counts the callers that still wait for one run.
type membership struct {
	waiting atomic.Int32
	cancel  context.CancelFunc // ends run's context
}

// open binds the slot to a waiting caller.
func (s *Slot[Out]) open(run *membership, ready chan<- struct{}) {
	s.run, s.ready = run, ready
	s.state.Store(slotOpen)
}

// Set answers the item with v.
func (s *Slot[Out]) Set(v Out) {
	if s.state.CompareAndSwap(slotOpen, slotAnswered) {
		s.answer = v
		s.deliver()
	}
}

// Fail answers the item with err, which its caller gets as it is. A nil err
// becomes ErrNoResult: an item has not succeeded by failing with nothing.
func (s *Slot[Out]) Fail(err error) {
	if s.state.CompareAndSwap(slotOpen, slotAnswered) {
		if err == nil {
			err = ErrNoResult
		}
		s.err = err
		s.deliver()
	}
}

// Gone reports whether the caller has left. A backend that works in steps may
// drop the item between two of them. It is one atomic load.
func (s *Slot[Out]) Gone() bool { return s.state.Load() == slotGone }

func (s *Slot[Out]) deliver() {
	s.run.waiting.Add(-1)
	s.ready <- struct{}{} // has room: sent to once
}

// leave takes the caller out and reports true, or reports false because an
// answer was first. The last to leave ends the run's context; a run that
// answered its last item itself may want its context for tidying up.
func (s *Slot[Out]) leave() bool {
	if !s.state.CompareAndSwap(slotOpen, slotGone) {
		return false
	}
	if s.run.waiting.Add(-1) == 0 {
		s.run.cancel()
	}
	return true
}

// take moves the answer out, so that a slot that somebody still holds does
// not keep it alive. Only the caller may, after it received from ready.
func (s *Slot[Out]) take() (Out, error) {
	answer, err := s.answer, s.err
	var none Out
	s.answer, s.err = none, nil
	return answer, err
}
