package batching

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"
)

// maxYields bounds how often a collector lets other goroutines go first before
// it seals a batch. Without, one caller and the instance hand the processor to
// each other through the scheduler's run-next slot and batches stay at one or
// two items while hundreds of callers are about to submit. When nobody is, a
// yield costs about 0.1 µs.
const maxYields = 3

// instance is one of the goroutines that run batches. It is parked (in
// Batcher.idle), the collector, or inside run. An instance binds items to a
// batch only when it is free to run them, and only one forms a batch at a
// time, so that two idle ones do not split what could be one batch.
type instance struct {
	wake  chan struct{} // capacity 1: appointed, or something to look at
	timer *time.Timer   // for Linger, else nil
}

func newInstance(lingers bool) *instance {
	inst := &instance{wake: make(chan struct{}, 1)}
	if lingers {
		inst.timer = time.NewTimer(0)
		inst.timer.Stop()
	}
	return inst
}

// poke wakes the instance, or keeps it from falling asleep. Batcher.mu is held.
func (inst *instance) poke() {
	select {
	case inst.wake <- struct{}{}:
	default:
	}
}

// batch is what one call of run is about.
type batch[In, Out any] struct {
	ctx     context.Context
	members *membership
	in      []In
	out     []Slot[Out]
}

// serve is an instance's life.
func (b *Batcher[In, Out]) serve(inst *instance) {
	ended := false
	defer func() {
		if !ended { // by runtime.Goexit in run, which nothing can stop
			go b.serve(inst)
		}
	}()
	for {
		work, ok := b.next(inst)
		if !ok {
			break
		}
		b.execute(work)
	}
	ended = true

	b.mu.Lock()
	defer b.mu.Unlock()
	if b.alive--; b.alive == 0 {
		close(b.done)
	}
}

// next waits until inst has a batch to run, or reports that there will be none.
func (b *Batcher[In, Out]) next(inst *instance) (batch[In, Out], bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		if b.collector != nil && b.collector != inst {
			b.park(inst)
			continue
		}
		b.collector = inst
		if b.queue.n > 0 {
			b.gather(inst)
		}
		// Waiters may have left while gather let go of the lock.
		if b.queue.n > 0 {
			return b.seal(), true
		}
		b.collector = nil
		if b.closed {
			b.appoint()
			return batch[In, Out]{}, false
		}
		b.park(inst)
	}
}

// appoint makes a parked instance the collector if there is one. b.mu is held,
// there is no collector, and there is work or the batcher is closed: a
// collector that finds neither work nor hope passes the office on and ends.
func (b *Batcher[In, Out]) appoint() {
	last := len(b.idle) - 1
	if last < 0 {
		return
	}
	b.collector, b.idle = b.idle[last], b.idle[:last]
	b.collector.wake <- struct{}{} // has room: only a lingering collector is poked, and it drains
}

// park waits until inst is appointed. b.mu is held, and let go meanwhile.
func (b *Batcher[In, Out]) park(inst *instance) {
	b.idle = append(b.idle, inst)
	b.mu.Unlock()
	<-inst.wake
	b.mu.Lock()
}

// gather gives others a chance to join the batch. b.mu is held, and let go
// meanwhile.
func (b *Batcher[In, Out]) gather(inst *instance) {
	if b.cfg.Linger > 0 {
		b.linger(inst)
		return
	}
	for range maxYields {
		n := b.queue.n
		if n >= b.full {
			return
		}
		b.mu.Unlock()
		runtime.Gosched()
		b.mu.Lock()
		if b.queue.n <= n {
			return
		}
	}
}

// linger sleeps until the batch is full, the oldest waiter has waited for
// Linger, or the batcher is closed. b.mu is held, and let go meanwhile.
func (b *Batcher[In, Out]) linger(inst *instance) {
	for b.queue.n > 0 && b.queue.n < b.full && !b.closed {
		left := b.cfg.Linger - time.Since(b.queue.head.since)
		if left <= 0 {
			return
		}
		b.lingering = true
		inst.timer.Reset(left)
		b.mu.Unlock()
		select {
		case <-inst.timer.C:
		case <-inst.wake:
		}
		b.mu.Lock()
		b.lingering = false
		inst.timer.Stop()
		select { // a poke that came with the timer
		case <-inst.wake:
		default:
		}
	}
}

// seal binds the oldest waiters to a batch and lets the next instance collect.
// b.mu is held and the queue is not empty.
//
// Everything here is new for each batch and never used again, because nobody
// knows what run, or a goroutine that it left behind, holds on to.
func (b *Batcher[In, Out]) seal() batch[In, Out] {
	n := min(b.queue.n, b.cfg.MaxBatchSize)
	work := batch[In, Out]{members: &membership{}, in: make([]In, n), out: make([]Slot[Out], n)}
	work.ctx, work.members.cancel = context.WithCancel(b.base)
	work.members.waiting.Store(int32(n))
	for i := range n {
		w := b.queue.pop()
		work.in[i] = w.in
		w.slot = &work.out[i]
		w.slot.open(work.members, w.ready)
	}
	b.ledger.batches++
	b.ledger.items += uint64(n)
	b.busy++
	b.collector = nil
	if b.queue.n > 0 {
		b.appoint()
	}
	return work
}

// execute calls run and sees that every member gets an outcome on every path
// out: return, panic, runtime.Goexit.
func (b *Batcher[In, Out]) execute(work batch[In, Out]) {
	err := errGoexit
	panics := uint64(0)
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
			panics++
		}
		for i := range work.out {
			work.out[i].Fail(err) // answered slots ignore it
		}
		work.members.cancel()
		b.mu.Lock()
		defer b.mu.Unlock()
		b.busy--
		b.ledger.panics += panics
	}()
	err = b.run(work.ctx, work.in, work.out)
}
