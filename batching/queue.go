package batching

import "time"

// waiter is one call to Do between its acceptance and its outcome. It is
// pooled by its batcher (a channel must not cross synctest bubbles), which is
// safe because exactly one outcome is decided, and ready is sent to only if
// that outcome was not the caller's leaving.
type waiter[In, Out any] struct {
	in     In
	queued bool
	since  time.Time     // when it was queued; kept only for Linger
	slot   *Slot[Out]    // nil until its batch is sealed
	ready  chan struct{} // capacity 1
	prev   *waiter[In, Out]
	next   *waiter[In, Out]
}

// queue is a first-in first-out list that any waiter can leave in O(1).
type queue[In, Out any] struct {
	head, tail *waiter[In, Out]
	n          int
}

func (q *queue[In, Out]) push(w *waiter[In, Out]) {
	w.queued, w.prev = true, q.tail
	if q.tail == nil {
		q.head = w
	} else {
		q.tail.next = w
	}
	q.tail = w
	q.n++
}

func (q *queue[In, Out]) remove(w *waiter[In, Out]) {
	if w.prev == nil {
		q.head = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		q.tail = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.queued, w.prev, w.next = false, nil, nil
	q.n--
}

// pop removes the oldest waiter of a queue that is not empty.
func (q *queue[In, Out]) pop() *waiter[In, Out] {
	w := q.head
	q.remove(w)
	return w
}
