package ratelimitredis

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"
)

const (
	maxBatch = 256 // calls that share a round trip at most

	// maxTrips is how many round trips of a lane are under way at a time. One
	// lets the most calls gather. Those that have taken longer than Timeout do
	// not count, or a connection that hangs would stop the others; at most
	// maxFlights are under way with them, so that a silent server costs no more.
	maxTrips   = 1
	maxFlights = 4
)

// A call is one question to Redis.
type call struct {
	key    string // in Redis, without what is the same for all of the lane
	op     op
	cost   time.Duration
	room   time.Duration
	held   time.Duration // of a lease: what is still held
	least  time.Duration // of a lease: what is worth taking
	settle func(*call)   // called in place of waking a caller; nil if one waits
	lease  *lease        // that this asks for

	// Guarded by lane.mu.
	prev, next *call // in the queue
	state      state
	start      int64 // by Limiter.now

	sibling *call // the next of the same key in the batch

	// The answer, for whoever got from done.
	done   chan struct{}
	taken  time.Duration // what was taken of the key before this call
	ok     bool
	leased time.Duration
	sent   int64 // by Limiter.now
	err    error
}

type state uint8

const (
	queued state = iota
	flying
	landed // its answer is about to come
	gone   // nobody waits for its answer any more
)

var calls = sync.Pool{New: func() any {
	return &call{done: make(chan struct{}, 1)}
}}

// free makes c ready for its next use. Nobody else may know it.
func (c *call) free() {
	*c = call{done: c.done}
	calls.Put(c)
}

// A lane is the way to the keys of one shard. Calls that come while round trips
// are under way wait for each other, and the next round trip takes them all.
type lane struct {
	lim     *Limiter
	prefix  string // of keys
	holders string // the key of the live holders

	mu          sync.Mutex
	first, last *call // that wait to be sent
	waiting     int
	flights     []*batch // round trips under way
	watch       *time.Timer
	watching    bool // watch will call expire
	closed      bool

	health
}

// ask sends c and waits for its answer; with, if not nil, goes along. The error
// is ctx's, ErrClosed or an *unavailable, and then c is not the caller's any more.
func (ln *lane) ask(ctx context.Context, c, with *call) error {
	if !ln.enqueue(c, with) {
		return ErrClosed
	}
	if over := ctx.Done(); over == nil {
		<-c.done
	} else {
		select {
		case <-c.done:
		case <-over:
			if ln.abandon(c) {
				return ctx.Err()
			}
			<-c.done
		}
	}
	if c.state == gone {
		ln.lim.stats.timeouts.Add(1)
		return ln.unavailable(errTimeout)
	}
	return c.err
}

// enqueue queues c and, if it is not nil, with. It returns false after Close.
func (ln *lane) enqueue(c, with *call) bool {
	now := ln.lim.now()
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.closed {
		return false
	}
	ln.push(c, now)
	if with != nil {
		ln.push(with, now)
	}
	return true
}

// post queues c, for which nobody waits. After Close it works only in send.
func (ln *lane) post(c *call, inSend bool) {
	now := ln.lim.now()
	ln.mu.Lock()
	open := !ln.closed || inSend
	if open {
		ln.push(c, now)
	}
	ln.mu.Unlock()
	if !open {
		c.err = ErrClosed
		c.finish(0)
	}
}

// push queues c, and has somebody send it. Under ln.mu.
func (ln *lane) push(c *call, now int64) {
	c.state, c.start = queued, now
	if !ln.watching && c.settle == nil {
		ln.watching = true
		ln.watch.Reset(ln.lim.cfg.Timeout)
	}
	if c.prev = ln.last; c.prev != nil {
		c.prev.next = c
	} else {
		ln.first = c
	}
	ln.last = c
	ln.waiting++
	if len(ln.flights) < maxTrips || len(ln.flights) < maxFlights && ln.fresh(now) < maxTrips {
		b := batches.Get().(*batch)
		b.start = now
		ln.flights = append(ln.flights, b)
		ln.lim.running.Add(1)
		go ln.send(b)
	}
}

// fresh is how many round trips may still be answered in time.
func (ln *lane) fresh(now int64) (n int) {
	for _, b := range ln.flights {
		if now-b.start <= int64(ln.lim.cfg.Timeout) {
			n++
		}
	}
	return n
}

// abandon has c forgotten, unless its answer is about to come.
func (ln *lane) abandon(c *call) bool {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	switch c.state {
	case queued: // never sent: nothing is taken
		ln.unlink(c)
	case landed, gone:
		return false
	}
	c.state = gone
	return true
}

// expire wakes the calls whose time has run out. It is one timer for all of
// them, because one of each call's own would cost as much as all the rest.
func (ln *lane) expire() {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	now := ln.lim.now()
	due := now - int64(ln.lim.cfg.Timeout)
	oldest, late := now, int64(0)
	look := func(c *call) {
		switch {
		case c.settle != nil || c.state == gone: // nobody waits
		case c.start > due:
			oldest, ln.watching = min(oldest, c.start), true
		default:
			if c.state == queued {
				ln.unlink(c)
			}
			c.state = gone
			late = max(late, c.start)
			c.done <- struct{}{}
		}
	}
	ln.watching = false
	for c := ln.first; c != nil; {
		next := c.next
		look(c)
		c = next
	}
	for _, b := range ln.flights {
		if !b.landed {
			for _, c := range b.calls {
				look(c)
			}
		}
	}
	if ln.watching {
		ln.watch.Reset(time.Duration(oldest - due))
	}
	if late != 0 {
		ln.late(late)
	}
}

func (ln *lane) unlink(c *call) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		ln.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		ln.last = c.prev
	}
	c.prev, c.next = nil, nil
	ln.waiting--
}

// send makes round trips for as long as calls wait.
func (ln *lane) send(b *batch) {
	defer ln.lim.running.Done()
	for ln.gather(b) {
		b.encode(ln)
		b.trip(ln)
		b.answer(ln)
		runtime.Gosched() // those who got an answer may well ask again
	}
	batches.Put(b)
}

// gather moves what waits to b. If nothing does, b's flight is over.
func (ln *lane) gather(b *batch) bool {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	b.reset()
	b.start = ln.lim.now()
	for ln.first != nil && len(b.calls) < maxBatch {
		c := ln.first
		ln.unlink(c)
		c.state = flying
		b.calls = append(b.calls, c)
	}
	if len(b.calls) == 0 {
		b.landed = true
		i := slices.Index(ln.flights, b)
		ln.flights = slices.Delete(ln.flights, i, i+1)
		return false
	}
	return true
}
