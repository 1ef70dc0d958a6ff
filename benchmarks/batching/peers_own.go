package batchbench

import (
	"context"
	"runtime"
	"sync"
	"time"
)

// These are what people write in an afternoon: no cancellation, no panics
// caught, no figures. Each device has an executor of its own.

// newChannelTimer collects from a channel until the batch is full or its first
// item has waited for the linger.
func newChannelTimer(s Setup) Peer {
	return newChannelPeer(s, func(queue <-chan *call, batch []*call) []*call {
		timer := time.NewTimer(s.Linger)
		defer timer.Stop()
		for len(batch) < s.MaxBatch {
			select {
			case c, ok := <-queue:
				if !ok {
					return batch
				}
				batch = append(batch, c)
			case <-timer.C:
				return batch
			}
		}
		return batch
	})
}

// newGreedyChannel takes what is there, and runs.
func newGreedyChannel(s Setup) Peer {
	return newChannelPeer(s, func(queue <-chan *call, batch []*call) []*call {
		for len(batch) < s.MaxBatch {
			select {
			case c, ok := <-queue:
				if !ok {
					return batch
				}
				batch = append(batch, c)
			default:
				return batch
			}
		}
		return batch
	})
}

// newChannelPeer runs batches that collect makes of a first item and whatever
// it finds in the queue.
func newChannelPeer(s Setup, collect func(queue <-chan *call, batch []*call) []*call) Peer {
	queue := make(chan *call, s.Callers)
	var executors sync.WaitGroup
	for _, dev := range s.Devices {
		executors.Go(func() {
			batch := make([]*call, 0, s.MaxBatch)
			for c := range queue {
				batch = collect(queue, append(batch[:0], c))
				dev.Run(len(batch), totalCost(batch))
				answer(batch)
			}
		})
	}
	calls := newCallPool()
	return Peer{
		Do: func(_ context.Context, it Item) (uint64, error) {
			c := calls.get(it)
			queue <- c
			return calls.wait(c), nil
		},
		Close: func() {
			close(queue)
			executors.Wait()
		},
	}
}

// condBatcher is the mutex, the slice and the condition variable that a lock-
// free batcher has to beat.
type condBatcher struct {
	mu     sync.Mutex
	more   sync.Cond
	queue  []*call
	head   int  // of the queue: what is before it has been taken
	yields bool // before it takes a batch
	closed bool
}

func newMutexCond(s Setup) Peer { return newCondPeer(s, &condBatcher{}) }

// newMutexCondYield lets callers go first before it takes a batch, as ballast
// does. Without, the executor and one caller hand the processor to each other
// and most batches of a device that takes no time have a handful of items.
func newMutexCondYield(s Setup) Peer { return newCondPeer(s, &condBatcher{yields: true}) }

func newCondPeer(s Setup, b *condBatcher) Peer {
	b.more.L = &b.mu
	var executors sync.WaitGroup
	for _, dev := range s.Devices {
		executors.Go(func() { b.execute(dev, s.MaxBatch) })
	}
	calls := newCallPool()
	return Peer{
		Do: func(_ context.Context, it Item) (uint64, error) {
			c := calls.get(it)
			b.mu.Lock()
			b.queue = append(b.queue, c)
			if len(b.queue) == 1 {
				// Under the mutex and for the first only: measured, a signal
				// for each item, after Unlock, costs a third more.
				b.more.Signal()
			}
			b.mu.Unlock()
			return calls.wait(c), nil
		},
		Close: func() {
			b.mu.Lock()
			b.closed = true
			b.mu.Unlock()
			b.more.Broadcast()
			executors.Wait()
		},
	}
}

func (b *condBatcher) execute(dev *Device, limit int) {
	batch := make([]*call, 0, limit)
	for {
		if batch = b.take(batch[:0], limit); len(batch) == 0 {
			return
		}
		dev.Run(len(batch), totalCost(batch))
		answer(batch)
	}
}

// take waits for items and moves up to limit of them to batch: none when the
// batcher is closed.
func (b *condBatcher) take(batch []*call, limit int) []*call {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.queue) == 0 && !b.closed {
		b.more.Wait()
	}
	if b.yields {
		b.yield(limit)
	}
	n := min(len(b.queue)-b.head, limit)
	batch = append(batch, b.queue[b.head:b.head+n]...)
	b.head += n
	if 2*b.head >= len(b.queue) { // so that each item is moved about once
		b.queue = b.queue[:copy(b.queue, b.queue[b.head:])]
		b.head = 0
	}
	if len(b.queue) > 0 {
		b.more.Signal() // another device's executor, if there is one
	}
	return batch
}

// yield goes on while the batch grows, three times at most. b.mu is held, and
// let go meanwhile.
func (b *condBatcher) yield(limit int) {
	for range 3 {
		n := len(b.queue) - b.head
		if n >= limit {
			return
		}
		b.mu.Unlock()
		runtime.Gosched()
		b.mu.Lock()
		if len(b.queue)-b.head <= n {
			return
		}
	}
}

// newUnbatched computes each item by itself, under a mutex for each device.
func newUnbatched(s Setup) Peer {
	locks := make([]sync.Mutex, len(s.Devices))
	return Peer{
		Do: func(_ context.Context, it Item) (uint64, error) {
			i := it.ID % uint64(len(locks))
			locks[i].Lock()
			s.Devices[i].Run(1, it.Cost)
			locks[i].Unlock()
			return it.Answer(), nil
		},
		Close: func() {},
	}
}
