package concurrency

import (
	"context"
	"sync"
	"time"
)

// waiting is the queue, first in, first out within a class.
type waiting struct {
	mu     sync.Mutex // guards all below, and who sets queuedBit
	queues [classes]list
	queued int
}

// A waiter is a call that waits for a permit. All but next and prev is set
// before it is queued, or before done is closed.
type waiter struct {
	rank       int
	bytes      int64
	next, prev *waiter
	inQueue    bool

	done   chan struct{}
	permit *Permit
	timed  bool
	err    error
}

// wait is for calls that found no room, or others that wait.
func (l *Limiter) wait(ctx context.Context, rank int, n int64) (*Permit, error) {
	if !l.refused.Load() {
		l.refused.Store(true)
	}
	if l.timed {
		l.tick(l.clock(), nil) // if nobody is let in, nobody else asks for the pressure
	}
	l.mu.Lock()
	// From here until settle whoever releases a permit comes to wake, and what
	// was released before is seen here.
	l.state.Or(queuedBit)
	l.dispatch()
	if p, timed := l.pass(rank, n); p != nil {
		l.settle()
		l.mu.Unlock()
		if timed {
			l.begin(p)
		}
		return p, nil
	}
	if err := l.makePlace(rank); err != nil {
		l.settle()
		l.mu.Unlock()
		return nil, err
	}
	w := &waiter{rank: rank, bytes: n, done: make(chan struct{})}
	l.push(w)
	l.mu.Unlock()

	timer := time.AfterFunc(l.cfg.MaxWait, func() { l.leave(w, ErrTimeout) })
	defer timer.Stop()
	select {
	case <-w.done:
	case <-ctx.Done():
		l.leave(w, ctx.Err())
	}
	if w.err != nil {
		return nil, w.err
	}
	if w.timed {
		l.begin(w.permit)
	}
	return w.permit, nil
}

// pass returns a permit if there is room and nobody of the same or a higher
// class waits for it.
func (l *Limiter) pass(rank int, n int64) (*Permit, bool) {
	for i := range rank + 1 {
		if l.queues[i].first != nil {
			return nil, false
		}
	}
	return l.take(rank, n)
}

// makePlace sees to it that a call of the given rank may be queued.
func (l *Limiter) makePlace(rank int) error {
	switch {
	case l.rooms[rank].Load() == 0:
		l.shed[rank].Add(1) // nothing that is going on will make room for it
		return ErrShed
	case l.queued < portion(l.cfg.MaxQueue, rank):
		return nil
	}
	for lowest := classes - 1; lowest > rank; lowest-- {
		if w := l.queues[lowest].last; w != nil {
			l.displace(w)
			return nil
		}
	}
	if l.queued < l.cfg.MaxQueue {
		l.shed[rank].Add(1)
		return ErrShed
	}
	if all := l.rooms[0].Load(); l.rooms[rank].Load() < all && inFlight(l.state.Load()) < all {
		l.shed[rank].Add(1) // a higher class would not even wait
		return ErrShed
	}
	l.full[rank].Add(1)
	return ErrQueueFull
}

// dispatch lets in whoever there is room for: the highest class first, and
// nobody past somebody who waits for what he would take.
func (l *Limiter) dispatch() {
	for i := range l.queues {
		for w := l.queues[i].first; w != nil; w = l.queues[i].first {
			p, timed := l.take(w.rank, w.bytes)
			if p == nil {
				return
			}
			l.remove(w)
			w.permit, w.timed = p, timed
			close(w.done)
		}
	}
}

// wake lets in whoever there is room for by now.
func (l *Limiter) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flush()
	l.dispatch()
	l.settle()
}

// flush turns away who waits for what nobody of his class may have any more.
func (l *Limiter) flush() {
	for rank := range classes {
		if l.rooms[rank].Load() > 0 {
			continue
		}
		for w := l.queues[rank].first; w != nil; w = l.queues[rank].first {
			l.displace(w)
		}
	}
}

// displace turns away one that waits.
func (l *Limiter) displace(w *waiter) {
	l.displaced[w.rank].Add(1)
	l.remove(w)
	w.err = ErrShed
	close(w.done)
}

// leave takes w out of the queue, with err, if it is still there.
func (l *Limiter) leave(w *waiter, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !w.inQueue {
		return
	}
	l.remove(w)
	w.err = err
	if err == ErrTimeout {
		l.timedOut[w.rank].Add(1)
	} else {
		l.gone[w.rank].Add(1)
	}
	close(w.done)
	l.dispatch() // there may be room for those behind it
	l.settle()
}

// settle makes new calls free to come in by themselves if nobody waits.
func (l *Limiter) settle() {
	if l.queued == 0 {
		l.state.And(^uint64(queuedBit))
	}
}

// list is a doubly linked list, so that who waits may leave from its middle.
type list struct{ first, last *waiter }

func (l *Limiter) push(w *waiter) {
	q := &l.queues[w.rank]
	w.prev, w.inQueue = q.last, true
	if q.last == nil {
		q.first = w
	} else {
		q.last.next = w
	}
	q.last = w
	l.queued++
}

func (l *Limiter) remove(w *waiter) {
	q := &l.queues[w.rank]
	if w.prev == nil {
		q.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		q.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.next, w.prev, w.inQueue = nil, nil, false
	l.queued--
}
