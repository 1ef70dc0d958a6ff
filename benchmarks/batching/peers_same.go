package batchbench

import (
	"context"
	"errors"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// mutexCondSame is the mutex, the slice and the condition variable again, doing
// for a call what ballast does: there is a bound, a caller can leave, a panic
// ends nothing, and calls and the time that they waited are counted.
const mutexCondSame = "mutex+cond, same work"

var (
	errFull     = errors.New("the queue is full")
	errPanicked = errors.New("the device panicked")
)

// sameCall is a call that can be left: who moves it away from waiting decides.
type sameCall struct {
	item    Item
	answer  uint64
	err     error
	since   time.Duration
	outcome atomic.Uint32
	done    chan struct{} // capacity 1
}

const (
	waiting uint32 = iota
	answered
	left
)

type sameBatcher struct {
	epoch  time.Time
	bound  int
	limit  int
	pool   sync.Pool // of *sameCall
	leaves atomic.Uint64

	mu        sync.Mutex
	more      sync.Cond
	queue     []*sameCall
	head      int // of the queue: what is before it has been taken
	closed    bool
	submitted uint64
	refused   uint64
	computed  uint64
	waited    [65]uint64 // by powers of two of nanoseconds
}

func newMutexCondSame(s Setup) Peer {
	b := &sameBatcher{epoch: time.Now(), bound: max(s.Callers, 1), limit: s.MaxBatch}
	b.pool.New = func() any { return &sameCall{done: make(chan struct{}, 1)} }
	b.more.L = &b.mu
	var executors sync.WaitGroup
	for _, dev := range s.Devices {
		executors.Go(func() {
			batch := make([]*sameCall, 0, s.MaxBatch)
			for {
				if batch = b.take(batch[:0]); len(batch) == 0 {
					return
				}
				b.execute(dev, batch)
			}
		})
	}
	return Peer{Do: b.do, Close: func() {
		b.mu.Lock()
		b.closed = true
		b.mu.Unlock()
		b.more.Broadcast()
		executors.Wait()
	}}
}

func (b *sameBatcher) do(ctx context.Context, it Item) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	c := b.pool.Get().(*sameCall)
	c.item, c.err, c.since = it, nil, time.Since(b.epoch)
	c.outcome.Store(waiting)
	b.mu.Lock()
	if len(b.queue)-b.head >= b.bound {
		b.refused++
		b.mu.Unlock()
		b.pool.Put(c)
		return 0, errFull
	}
	b.submitted++
	b.queue = append(b.queue, c)
	if len(b.queue) == 1 {
		b.more.Signal()
	}
	b.mu.Unlock()
	select {
	case <-c.done:
	case <-ctx.Done():
		if c.outcome.CompareAndSwap(waiting, left) {
			b.leaves.Add(1)
			return 0, ctx.Err() // c stays with the executor
		}
		<-c.done
	}
	got, err := c.answer, c.err
	b.pool.Put(c)
	return got, err
}

// take waits for items and moves up to a batch of those that are still waited
// for to batch: none when the batcher is closed.
func (b *sameBatcher) take(batch []*sameCall) []*sameCall {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.queue) == 0 && !b.closed {
		b.more.Wait()
	}
	for range 3 {
		n := len(b.queue) - b.head
		if n >= b.limit {
			break
		}
		b.mu.Unlock()
		runtime.Gosched()
		b.mu.Lock()
		if len(b.queue)-b.head <= n {
			break
		}
	}
	now := time.Since(b.epoch)
	for ; b.head < len(b.queue) && len(batch) < b.limit; b.head++ {
		if c := b.queue[b.head]; c.outcome.Load() == waiting {
			b.waited[bits.Len64(uint64(now-c.since))]++
			batch = append(batch, c)
		}
	}
	b.computed += uint64(len(batch))
	if 2*b.head >= len(b.queue) { // so that each item is moved about once
		b.queue = b.queue[:copy(b.queue, b.queue[b.head:])]
		b.head = 0
	}
	if len(b.queue) > 0 {
		b.more.Signal()
	}
	return batch
}

func (b *sameBatcher) execute(dev *Device, batch []*sameCall) {
	told := 0
	defer func() {
		if recover() != nil {
			for _, c := range batch[told:] { // the others may be new calls by now
				c.tell(0, errPanicked)
			}
		}
	}()
	cost := 0
	for _, c := range batch {
		cost += c.item.Cost
	}
	dev.Run(len(batch), cost)
	for _, c := range batch {
		told++
		c.tell(c.item.Answer(), nil)
	}
}

func (c *sameCall) tell(answer uint64, err error) {
	if c.outcome.CompareAndSwap(waiting, answered) {
		c.answer, c.err = answer, err
		c.done <- struct{}{}
	}
}
