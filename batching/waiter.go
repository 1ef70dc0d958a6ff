package batching

import (
	"context"
	"sync/atomic"
)

// waiter is one item from its acceptance to its outcome. It is pooled by its
// batcher (a channel must not cross synctest bubbles), which is safe because
// exactly one outcome is decided, and its caller is signalled only if that
// outcome was not the caller's leaving.
//
// What every item needs comes first, in two cache lines: with thousands of
// callers each line of a waiter is a miss.
type waiter[In, Out any] struct {
	next   *waiter[In, Out] // in the inbox the one before, then in its flow's list
	prev   *waiter[In, Out]
	flow   *flow[In, Out]
	since  int64 // when it came; like all times here in nanoseconds since New
	due    int64 // tick by which it should be answered; see Batcher.claim
	limit  int64 // when an answer is of no use any more; noLimit if always
	units  int64 // its cost
	pos    int32 // in its flow's heap, or inList
	level  uint8 // priority, 0 is the most urgent
	queued bool  // in the schedule

	slot *Slot[Out] // nil until its batch is sealed
	reply[Out]
	in In

	rest[In, Out]
}

// rest is what only some batchers need of a waiter.
type rest[In, Out any] struct {
	of           string // its group
	tenant       string
	weight       int              // its tenant's
	newer, older *waiter[In, Out] // in its level, by arrival
	ctx          context.Context  // its caller's, for OnBatch
}

// reply is where a waiter's outcome goes.
type reply[Out any] struct {
	ready  chan struct{} // capacity 1
	many   *company      // if it is one of DoMany's
	below  *reply[Out]   // in the post
	answer Out
	err    error
}

// company is what the items of one DoMany share.
type company struct {
	left  atomic.Int64  // items without an outcome
	ready chan struct{} // capacity 1; signalled by the last of them
}

// signal tells the caller that the outcome is there, once. It never blocks.
func (r *reply[Out]) signal() {
	if r.many == nil {
		r.ready <- struct{}{}
	} else if r.many.left.Add(-1) == 0 {
		r.many.ready <- struct{}{}
	}
}

// inbox is where accepted waiters go first: a stack that anyone pushes to
// without a lock, and that its reader takes whole. So it has no ABA problem.
type inbox[In, Out any] struct {
	top atomic.Pointer[waiter[In, Out]]
}

// push adds the waiters from last back to first, linked by next.
func (q *inbox[In, Out]) push(first, last *waiter[In, Out]) {
	for {
		top := q.top.Load()
		first.next = top
		if q.top.CompareAndSwap(top, last) {
			return
		}
	}
}

func (q *inbox[In, Out]) empty() bool { return q.top.Load() == nil }

// take empties the inbox and returns what was in it, oldest first, linked by
// next.
func (q *inbox[In, Out]) take() *waiter[In, Out] {
	if q.empty() { // spares the line of those who push
		return nil
	}
	var oldest *waiter[In, Out]
	for w := q.top.Swap(nil); w != nil; {
		w, w.next, oldest = w.next, oldest, w
	}
	return oldest
}
