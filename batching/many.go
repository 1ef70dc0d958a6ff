package batching

import "context"

// DoMany hands in several items at once, so that they can share batches, and
// waits for all. Each has its own outcome, the same as if it had been given to
// Do: out[i] or errs[i] is in[i]'s. errs is nil if no item failed.
//
// They are accepted all or none, but for those that fail with [ErrTooLarge]: if
// there is not room for all of them in the queue, or the last could not be in
// time, all fail with [ErrQueueFull] or a *[ShedError], and none is computed. So
// more than MaxQueue never are. More than one displace nobody from a full queue.
func (b *Batcher[In, Out]) DoMany(ctx context.Context, in []In) (out []Out, errs []error) {
	m := many[In, Out]{b: b, out: make([]Out, len(in)), waiters: make([]*waiter[In, Out], len(in))}
	m.company.ready = make(chan struct{}, 1)
	if err := b.enter(ctx); err != nil {
		for i := range in {
			m.fail(i, err)
		}
		return m.out, m.errs
	}
	m.claim(ctx, in)
	done := ctx.Done() // foreign code, as all before: no waiter is known to anybody yet
	if m.submit() {
		select {
		case <-m.company.ready:
		case <-done:
			m.withdraw(ctx)
		}
		m.collect()
	}
	return m.out, m.errs
}

// many is a call of DoMany.
type many[In, Out any] struct {
	b       *Batcher[In, Out]
	out     []Out
	errs    []error            // nil if there is none
	waiters []*waiter[In, Out] // nil if the item has its outcome
	company company
}

func (m *many[In, Out]) fail(i int, err error) {
	if m.errs == nil {
		m.errs = make([]error, len(m.out))
	}
	m.errs[i] = err
}

// drop gives item i the outcome err.
func (m *many[In, Out]) drop(i int, err error) {
	m.fail(i, err)
	m.b.recycle(m.waiters[i])
	m.waiters[i] = nil
}

func (m *many[In, Out]) claim(ctx context.Context, in []In) {
	for i := range in {
		w, err := m.b.claim(ctx, in[i])
		if err != nil {
			m.fail(i, err)
			continue
		}
		w.many = &m.company
		m.waiters[i] = w
	}
}

// submit queues the items, all or none, and reports whether it did.
func (m *many[In, Out]) submit() bool {
	var first, last, least *waiter[In, Out]
	var n, units int64
	for _, w := range m.waiters {
		if w == nil {
			continue
		}
		if first == nil {
			first, least = w, w
		} else {
			w.next = last
		}
		if w.level > least.level {
			least = w
		}
		last = w
		n++
		units += w.units
	}
	if n == 0 {
		return false
	}
	if err := m.b.accept(least, n, units); err != nil {
		for i, w := range m.waiters {
			if w != nil {
				m.drop(i, err)
			}
		}
		return false
	}
	m.company.left.Store(n)
	m.b.submit(first, last)
	return true
}

// withdraw takes the items that have no outcome out, and waits for those whose
// outcome is on its way.
func (m *many[In, Out]) withdraw(ctx context.Context) {
	gone := int64(0)
	for i, w := range m.waiters {
		if w != nil && m.b.leave(w) {
			m.drop(i, ctx.Err())
			gone++
		}
	}
	if gone == 0 || m.company.left.Add(-gone) > 0 {
		<-m.company.ready
	}
}

// collect takes the answers.
func (m *many[In, Out]) collect() {
	for i, w := range m.waiters {
		if w == nil {
			continue
		}
		m.out[i] = w.answer
		if w.err != nil {
			m.fail(i, w.err)
		}
		m.b.recycle(w)
	}
}
