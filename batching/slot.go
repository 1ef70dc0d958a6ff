package batching

import "sync/atomic"

// Slot is where run puts one item's answer. The caller gets it at once, while
// run may go on with the other items.
//
// The first Set or Fail counts, later ones are ignored; so is one that comes
// after the caller left or after run returned. A Slot is used for one item
// only, so a goroutine that outlives run can never answer somebody else's
// call. All methods are safe for concurrent use. A zero Slot belongs to
// nobody and ignores everything. A Slot must not be copied.
type Slot[Out any] struct {
	state atomic.Uint32
	run   *tally[Out]
	to    *reply[Out] // the caller's, until state leaves slotOpen
}

// The states of a slot. Whoever moves it out of slotOpen, by compare-and-swap,
// decides the call's only outcome.
const (
	slotVoid     uint32 = iota // a zero Slot
	slotOpen                   // the caller waits
	slotAnswered               // the caller has its answer or error, or will in a moment
	slotGone                   // the caller left
)

// open binds the slot to a waiting caller.
func (s *Slot[Out]) open(run *tally[Out], to *reply[Out]) {
	s.run, s.to = run, to
	s.state.Store(slotOpen)
}

// Set answers the item with v.
func (s *Slot[Out]) Set(v Out) {
	if s.state.CompareAndSwap(slotOpen, slotAnswered) {
		to := s.to
		to.answer = v
		s.run.add(tallyAnswered)
		s.run.post.signal(to)
	}
}

// Fail answers the item with err, which its caller gets as it is. A nil err
// becomes ErrNoResult: an item has not succeeded by failing with nothing.
func (s *Slot[Out]) Fail(err error) {
	if err == nil {
		err = ErrNoResult
	}
	s.fail(err)
}

// fail is Fail, and reports whether it was first.
func (s *Slot[Out]) fail(err error) bool {
	if !s.state.CompareAndSwap(slotOpen, slotAnswered) {
		return false
	}
	to := s.to
	to.err = err
	s.run.add(tallyFailed)
	s.run.post.signal(to)
	return true
}

// Gone reports whether the caller has left. A backend that works in steps may
// drop the item between two of them. It is one atomic load.
func (s *Slot[Out]) Gone() bool { return s.state.Load() == slotGone }

// leave takes the caller out and reports true, or reports false because an
// answer was first. The last to leave ends the run's context; a run that
// answered its last item itself may want its context for tidying up.
func (s *Slot[Out]) leave() bool {
	if !s.state.CompareAndSwap(slotOpen, slotGone) {
		return false
	}
	if s.run.add(tallyGone) {
		s.run.ctx.end()
	}
	return true
}

// tally counts the outcomes of a batch's items: three numbers in one word, so
// that one addition both counts an outcome and tells who is last.
type tally[Out any] struct {
	outcomes atomic.Uint64
	size     uint64
	ctx      runContext
	post     *post[Out] // who signals to the callers; nil: who answers
}

// One outcome of each kind. Items that time out count as failed here.
const (
	tallyAnswered uint64 = 1 << (iota * tallyBits)
	tallyFailed
	tallyGone

	tallyBits = 21 // enough for maxMaxBatchSize
	tallyMask = 1<<tallyBits - 1
)

// add counts an outcome and reports whether it was the last.
func (t *tally[Out]) add(outcome uint64) bool {
	answered, failed, gone := split(t.outcomes.Add(outcome))
	return answered+failed+gone == t.size
}

// complete reports whether all outcomes have been counted.
func (t *tally[Out]) complete() bool {
	answered, failed, gone := split(t.outcomes.Load())
	return answered+failed+gone == t.size
}

// split returns the numbers of a tally.
func split(outcomes uint64) (answered, failed, gone uint64) {
	return outcomes & tallyMask, outcomes >> tallyBits & tallyMask, outcomes >> (2 * tallyBits)
}
