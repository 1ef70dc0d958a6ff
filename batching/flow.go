package batching

import "container/heap"

// flow is what one tenant has waiting in one group at one level, by deadline
// and then arrival. Deadlines mostly come in order, because most callers give
// their calls the same time: those are a list. The others are a heap.
type flow[In, Out any] struct {
	group       *group[In, Out]
	tenant      *tenant
	finish      float64 // of the head when last looked at, so never above what it is now
	index       int     // in flows, or nowhere
	first, last *waiter[In, Out]
	early       early[In, Out]
}

const (
	inList  = -1 // the pos of a waiter that is in its flow's list
	nowhere = -1 // the index of a flow that is in no flows yet
)

func (f *flow[In, Out]) empty() bool { return f.first == nil && len(f.early) == 0 }

func (f *flow[In, Out]) push(w *waiter[In, Out]) {
	if f.last != nil && w.due < f.last.due {
		heap.Push(&f.early, w)
		return
	}
	w.pos, w.prev, w.next = inList, f.last, nil
	if f.last == nil {
		f.first = w
	} else {
		f.last.next = w
	}
	f.last = w
}

func (f *flow[In, Out]) remove(w *waiter[In, Out]) {
	if w.pos != inList {
		heap.Remove(&f.early, int(w.pos))
		return
	}
	if w.prev == nil {
		f.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		f.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next = nil, nil
}

// head returns what is first, or nil.
func (f *flow[In, Out]) head() *waiter[In, Out] {
	if len(f.early) > 0 && (f.first == nil || f.early[0].earlier(f.first)) {
		return f.early[0]
	}
	return f.first
}

// early is a heap for container/heap.
type early[In, Out any] []*waiter[In, Out]

func (h early[In, Out]) Len() int           { return len(h) }
func (h early[In, Out]) Less(i, j int) bool { return h[i].earlier(h[j]) }

func (h early[In, Out]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = int32(i), int32(j)
}

func (h *early[In, Out]) Push(x any) {
	w := x.(*waiter[In, Out])
	w.pos = int32(len(*h))
	*h = append(*h, w)
}

func (h *early[In, Out]) Pop() any {
	last := len(*h) - 1
	w := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return w
}

// flows is a heap of flows by finish, then by their heads, for container/heap.
// A tenant's pace rises while it is served elsewhere; first catches up with
// that.
type flows[In, Out any] []*flow[In, Out]

// first returns the flow to serve next.
func (h *flows[In, Out]) first() *flow[In, Out] {
	f := (*h)[0]
	for len(*h) > 1 && f.finish < f.head().finish() {
		h.update(f)
		f = (*h)[0]
	}
	return f
}

// update puts f, which has a new head or finish, where it belongs.
func (h *flows[In, Out]) update(f *flow[In, Out]) {
	f.finish = f.head().finish()
	if f.index == nowhere {
		heap.Push(h, f)
	} else {
		heap.Fix(h, f.index)
	}
}

func (h flows[In, Out]) Len() int { return len(h) }

func (h flows[In, Out]) Less(i, j int) bool {
	if h[i].finish != h[j].finish {
		return h[i].finish < h[j].finish
	}
	return h[i].head().earlier(h[j].head())
}

func (h flows[In, Out]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *flows[In, Out]) Push(x any) {
	f := x.(*flow[In, Out])
	f.index = len(*h)
	*h = append(*h, f)
}

func (h *flows[In, Out]) Pop() any {
	last := len(*h) - 1
	f := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return f
}
