package batching

import (
	"context"
	"math"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// maxYields bounds how often a collector lets other goroutines go first before
// it seals a batch. Without, one caller and the instance hand the processor to
// each other through the scheduler's run-next slot and batches stay at one or
// two items while hundreds of callers are about to submit. When nobody is, a
// yield costs about 0.1 µs.
const maxYields = 3

// quickRun is a run so short that no device is behind it and the callers' own
// goroutines are most of the work. After it even a full batch lets them go
// first: who was answered comes again while the processor's caches have its
// memory. Measured with 10,000 callers, that saves a quarter.
const quickRun = 50 * time.Microsecond

// instance is a place where batches run, one at a time. A goroutine serves it;
// if its run hangs, another takes over. An instance binds items to a batch only
// when it is free to run them, and only one forms a batch at a time, so that
// two idle ones do not split what could be one batch.
type instance struct {
	id     int
	freeAt atomic.Int64 // when its run should end, or one of the two below
	linger *time.Timer  // nil without Linger
	watch  *time.Timer  // nil without BatchTimeout
	quick  bool         // the last run took less than quickRun; its goroutine's own

	// The rest is guarded by Batcher.mu.
	model   model
	batches uint64
	busy    int64 // nanoseconds in run, but for the run of now
}

// Values of instance.freeAt that are no time.
const (
	idle  = 0
	never = math.MaxInt64 // its run hangs, and nobody has taken over
)

func (b *Batcher[In, Out]) newInstance(id int) *instance {
	inst := &instance{id: id}
	if b.cfg.Linger > 0 {
		inst.linger = time.NewTimer(0)
		inst.linger.Stop()
	}
	if b.cfg.BatchTimeout > 0 {
		inst.watch = time.AfterFunc(math.MaxInt64, func() { b.hang(inst) })
		inst.watch.Stop()
	}
	return inst
}

// serve is the life of a goroutine that serves an instance.
func (b *Batcher[In, Out]) serve(inst *instance) {
	if b.cfg.LockOSThread {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	}
	var work *batch[In, Out]
	defer func() {
		if work != nil { // runtime.Goexit in run, which nothing can stop
			if inst = work.inst; inst != nil {
				go b.serve(inst)
				return
			}
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.goroutines--; b.goroutines == 0 {
			close(b.post.stop)
		}
	}()
	for inst != nil {
		if work = b.next(inst); work == nil {
			return
		}
		b.execute(work)
		inst, work = work.inst, nil
	}
}

// next waits until inst has a batch to run, and returns nil when there will be
// none.
func (b *Batcher[In, Out]) next(inst *instance) *batch[In, Out] {
	for {
		b.takeOffice()
		reason := b.gather(inst)
		b.mu.Lock()
		b.drain()
		var work *batch[In, Out]
		if b.schedule.n > 0 {
			work = b.seal(inst, reason)
		}
		ending := b.places.Load() == closedBit
		b.leaveOffice(b.schedule.n > 0 || ending)
		b.mu.Unlock()
		if work != nil || ending {
			return work
		}
	}
}

// takeOffice waits until the caller is the collector.
func (b *Batcher[In, Out]) takeOffice() {
	if b.office.Load() == officeVacant && !b.inbox.empty() && b.office.CompareAndSwap(officeVacant, officeTaken) {
		return
	}
	<-b.calls
}

// leaveOffice lets the next instance collect, at once or when something comes.
// b.mu is held, so that nobody else, who would not wake anybody, can move what
// has come in between from the inbox to the schedule.
func (b *Batcher[In, Out]) leaveOffice(more bool) {
	if more {
		b.calls <- struct{}{} // has room: the caller has the office
		return
	}
	b.office.Store(officeVacant)
	// Somebody may have come between drain and here, and seen it taken.
	if !b.inbox.empty() || b.places.Load() == closedBit {
		b.wake()
	}
}

// drain moves what is in the inbox to the schedule. b.mu is held.
func (b *Batcher[In, Out]) drain() {
	for w := b.inbox.take(); w != nil; {
		next := w.next
		if b.aborted {
			b.ledger.aborted++
			b.unload(w)
			b.vacate(1)
			w.err = ErrClosed
			w.signal()
		} else {
			b.schedule.push(w)
		}
		w = next
	}
}

// gather gives others a chance to join the batch, and returns why it should
// be sealed if it turns out not to be full. The caller is the collector.
func (b *Batcher[In, Out]) gather(inst *instance) sealReason {
	if b.cfg.Linger > 0 {
		return b.linger(inst)
	}
	if b.cfg.LockOSThread {
		return sealIdle // each yield would be two thread switches
	}
	n := b.places.Load() >> 1
	if n >= int64(b.full) && !inst.quick {
		return sealIdle // a device would wait for nothing
	}
	for range maxYields {
		before := n
		runtime.Gosched()
		if n = b.places.Load() >> 1; n <= before || n >= int64(b.full) {
			break
		}
	}
	return sealIdle
}

// execute calls run and sees that every member gets an outcome on every path
// out: return, panic, runtime.Goexit.
func (b *Batcher[In, Out]) execute(work *batch[In, Out]) {
	err := errGoexit
	var after func(error)
	defer func() {
		panicked := false
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
			panicked = true
		}
		if b.cfg.BatchTimeout > 0 {
			b.returnLate(work)
		}
		for i := range work.out {
			work.out[i].Fail(err) // answered slots ignore it
		}
		work.ctx.end()
		b.finish(work, err == nil, panicked)
		if after != nil {
			b.told(after, err)
		}
	}()
	ctx := context.Context(&work.ctx)
	if work.roll != nil {
		ctx, after = b.tell(work)
	}
	err = b.run(ctx, work.in, work.out)
}
