package batching

import "container/heap"

// flow is what one tenant has waiting in one group at one level, by deadline
// and then arrival. Deadlines mostly come in order, because most callers give
// their calls the same time: those are a list. The others are a heap.
type flow[In, Out any] struct {
	group       *group[In, Out]
	tenant      *tenant
	pace        float64 // the tenant's when last looked at, so never above it
	index       int     // in flows
	first, last *waiter[In, Out]
	early       early[In, Out]
}

// inList is the pos of a waiter that is in its flow's list.
const inList = -1

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
	if len(f.early) > 0 && (f.first == nil || f.early[0].due < f.first.due) {
		return f.early[0]
	}
	return f.first
}

// early is a heap for container/heap.
type early[In, Out any] []*waiter[In, Out]

func (h early[In, Out]) Len() int { return len(h) }

func (h early[In, Out]) Less(i, j int) bool {
	return h[i].due < h[j].due || h[i].due == h[j].due && h[i].since < h[j].since
}

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

// flows is a heap of flows by pace, for container/heap. A tenant's pace rises
// while it is served elsewhere; first catches up with that.
type flows[In, Out any] []*flow[In, Out]

// first returns the flow to serve next.
func (h *flows[In, Out]) first() *flow[In, Out] {
	f := (*h)[0]
	for f.pace < f.tenant.pace {
		f.pace = f.tenant.pace
		heap.Fix(h, 0)
		f = (*h)[0]
	}
	return f
}

func (h flows[In, Out]) Len() int           { return len(h) }
func (h flows[In, Out]) Less(i, j int) bool { return h[i].pace < h[j].pace }

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
