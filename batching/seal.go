package batching

import (
	"context"
	"slices"
	"time"
)

// sealReason is why a batch was closed to more items.
type sealReason int

const (
	sealFull sealReason = iota
	sealIdle
	sealLinger
	sealDeadline
	sealClose
	sealReasons
)

// batch is what one call of run is about. But for in, everything here is new
// for each batch and never used again, because nobody knows what run, or a
// goroutine that it left behind, holds on to.
type batch[In, Out any] struct {
	tally[Out]
	in    []In
	out   []Slot[Out]
	inst  *instance // when it is over: the one that its goroutine serves next, or nil
	start int64
	units float64 // as the cost model counts them
	gain  float64 // how much of what a full batch computes in its time it does, 0 to 1
	hung  bool    // guarded by Batcher.mu
	roll  *roll   // for OnBatch; nil without
}

// seal binds waiters to a batch for inst, or returns nil if none of those who
// wait can be answered in time. b.mu is held and something waits.
func (b *Batcher[In, Out]) seal(inst *instance, reason sealReason) *batch[In, Out] {
	now := b.now()
	end := now + b.expected(now)
	leader := b.lead(now, end)
	if leader == nil {
		return nil
	}
	g := leader.flow.group
	n, full := b.fit(inst, g)
	work := &batch[In, Out]{
		in:    slices.Grow(b.memory[inst.id], n),
		out:   make([]Slot[Out], n),
		inst:  inst,
		start: now,
	}
	if b.cfg.OnBatch != nil {
		work.roll = &roll{members: make([]member, 0, n), group: leader.of}
	}
	cost, costly := int64(0), false
	for w := leader; w != nil && len(work.in) < n; w = b.schedule.next(g, now) {
		if w.limit <= end {
			b.expire(w, now, end)
			continue
		}
		if most := int64(b.cfg.MaxBatchCost); most > 0 && w.units > most-cost {
			costly = true
			break
		}
		cost += w.units
		b.bind(w, work)
	}
	full = costly || full && len(work.in) == n // some may have expired
	n = len(work.in)
	b.memory[inst.id] = work.in[:0]
	work.in, work.out = work.in[:n:n], work.out[:n:n] // what run appends is its own
	b.vacate(n)
	b.begin(work, cost)
	switch {
	case full:
		reason = sealFull
	case b.places.Load()&closedBit != 0:
		reason = sealClose
	}
	b.ledger.seals[reason]++
	return work
}

// expected returns how long the next batch should take. It is 0 without
// TargetLatency, when nothing is known, and when no batch could be in time:
// then the items' own limits have to do.
func (b *Batcher[In, Out]) expected(now int64) int64 {
	if b.cfg.TargetLatency == 0 || now > b.speed.freshUntil.Load() || b.schedule.n == 0 {
		return 0
	}
	took := b.upcoming()
	if took > int64(b.cfg.TargetLatency) {
		return 0
	}
	return took
}

// upcoming returns how long a batch of what waits should take. Something waits.
func (b *Batcher[In, Out]) upcoming() int64 {
	n := float64(min(b.schedule.n, b.cfg.MaxBatchSize))
	units := n * float64(b.schedule.units) / float64(b.schedule.n)
	if most := b.cfg.MaxBatchCost; most > 0 {
		units = min(units, float64(most))
	}
	return int64(b.speed.predict(b.padded(n, units)))
}

// lead picks the first item of the next batch, past those that cannot be
// answered before their limit when the batch ends at end, or returns nil.
func (b *Batcher[In, Out]) lead(now, end int64) *waiter[In, Out] {
	for b.schedule.n > 0 {
		leader := b.schedule.leader(now)
		if leader.limit > end {
			b.schedule.leaders++
			return leader
		}
		b.expire(leader, now, end)
	}
	return nil
}

// expire answers w, which cannot be computed in time.
func (b *Batcher[In, Out]) expire(w *waiter[In, Out], now, end int64) {
	if b.cfg.TargetLatency == 0 {
		b.ledger.cancelledQueued++
		b.expel(w, context.DeadlineExceeded) // as the caller's own context says now
		return
	}
	b.ledger.expired++
	b.expel(w, b.shedError(end-w.since, w))
}

// fit returns how many items of g to run, and whether there is no room for
// more: with Sizes, either all, padded, or as many as fill the size below, if
// by the instance's model that is cheaper for each.
func (b *Batcher[In, Out]) fit(inst *instance, g *group[In, Out]) (n int, full bool) {
	n = min(g.n, b.cfg.MaxBatchSize)
	sizes := b.cfg.Sizes
	if len(sizes) == 0 {
		return n, n == b.cfg.MaxBatchSize
	}
	i, exact := slices.BinarySearch(sizes, n)
	if exact {
		return n, true
	}
	if i > 0 {
		up, down := float64(sizes[i]), float64(sizes[i-1])
		if inst.model.predict(down)/down < inst.model.predict(up)/float64(n) {
			return sizes[i-1], true
		}
	}
	return n, n == b.cfg.MaxBatchSize
}

// bind makes w part of work.
func (b *Batcher[In, Out]) bind(w *waiter[In, Out], work *batch[In, Out]) {
	b.ledger.queueWait.observe(work.start - w.since)
	b.schedule.serve(w)
	b.unload(w)
	if work.roll != nil {
		work.roll.members = append(work.roll.members, member{w.ctx, w.since})
	}
	i := len(work.in)
	work.in = append(work.in, w.in)
	w.slot = &work.out[i]
	w.slot.open(&work.tally, &w.reply)
}

// begin accounts for a batch that is about to run.
func (b *Batcher[In, Out]) begin(work *batch[In, Out], cost int64) {
	n, inst := len(work.in), work.inst
	padded := b.padded(float64(n), float64(cost))
	work.size, work.units = uint64(n), padded
	if work.roll != nil {
		work.roll.cost, work.roll.padded = cost, n
		if len(b.cfg.Sizes) > 0 {
			work.roll.padded = int(padded)
		}
	}
	work.ctx.batcher = b
	if !inst.quick && n >= postFrom && b.schedule.n >= b.full {
		work.post = &b.post
	}
	work.gain = b.gain(inst, n, cost, padded)
	b.batches = append(b.batches, work)
	b.ledger.batches++
	b.ledger.items += uint64(n)
	b.ledger.batchSize.observe(n)
	if len(b.cfg.Sizes) > 0 {
		b.ledger.padding += uint64(padded) - uint64(n)
	}
	inst.freeAt.Store(max(1, work.start+int64(inst.model.predict(work.units))))
	if b.cfg.BatchTimeout > 0 {
		work.ctx.deadline = b.epoch.Add(time.Duration(work.start) + b.cfg.BatchTimeout)
		inst.watch.Reset(b.cfg.BatchTimeout)
	}
}

// gain returns how much work, as a part of what a full batch computes in the
// same time, a batch is.
func (b *Batcher[In, Out]) gain(inst *instance, n int, cost int64, units float64) float64 {
	part := float64(n) / float64(b.cfg.MaxBatchSize)
	if most := b.cfg.MaxBatchCost; most > 0 {
		part = max(part, float64(cost)/float64(most))
	}
	whole := units / part
	if sizes := len(b.cfg.Sizes); sizes > 0 {
		whole = float64(b.cfg.Sizes[sizes-1])
	}
	took := inst.model.predict(units)
	if took == 0 {
		return part
	}
	return min(1, part*inst.model.predict(whole)/took)
}

// finish accounts for a run that has ended.
func (b *Batcher[In, Out]) finish(work *batch[In, Out], succeeded, panicked bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	took := now - work.start
	b.batches = slices.DeleteFunc(b.batches, func(other *batch[In, Out]) bool { return other == work })
	b.ledger.runTime[b.ledger.batchSize.bucket(len(work.in))].observe(took)
	if panicked {
		b.ledger.panics++
	}
	in := work.in
	work.in = nil  // a goroutine that the run left behind may keep its slots, and they keep work
	if work.hung { // timeOut has done the rest
		work.inst = b.vacancy()
		return
	}
	inst := work.inst
	if _, _, gone := split(work.outcomes.Load()); succeeded && gone < work.size { // else it may have stopped early
		inst.model.observe(work.units, float64(took), work.start > b.speed.freshUntil.Load())
		if b.cfg.TargetLatency > 0 || b.cfg.Linger > 0 {
			b.speed.publish(b.instances, now)
		}
	}
	inst.quick = took < int64(quickRun)
	if inst.watch != nil {
		inst.watch.Stop()
	}
	b.release(work, took)
	b.settle(&work.tally, 0)
	clear(in)
}

// release takes work off its instance. b.mu is held.
func (b *Batcher[In, Out]) release(work *batch[In, Out], took int64) {
	inst := work.inst
	inst.freeAt.Store(idle)
	inst.batches++
	inst.busy += took
	b.ledger.used.add(work.gain, work.start, work.start+took)
}

// hang is what happens at BatchTimeout, if inst's run has not returned: another
// goroutine serves inst, unless as many hang already as may.
func (b *Batcher[In, Out]) hang(inst *instance) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.batches, func(work *batch[In, Out]) bool { return work.inst == inst && !work.hung })
	if i < 0 || !b.timeOut(b.batches[i]) {
		return // that run has just ended
	}
	if b.hanging()-len(b.vacant) <= b.cfg.Instances {
		b.goroutines++
		go b.serve(inst)
		return
	}
	inst.freeAt.Store(never)
	b.vacant = append(b.vacant, inst)
	if b.cfg.OnExhausted != nil {
		go b.cfg.OnExhausted(&exhausted{b.cfg.Name, b.hanging()})
	}
}

// returnLate is hang for a run that took too long, but returned before the
// timer's goroutine came: one that heeds its context does so at that moment. Its
// own goroutine is about to serve its instance again.
func (b *Batcher[In, Out]) returnLate(work *batch[In, Out]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !work.hung && b.timeOut(work) {
		b.vacant = append(b.vacant, work.inst)
	}
}

// timeOut takes work's instance away from it and answers its callers, if its
// time is over. b.mu is held.
func (b *Batcher[In, Out]) timeOut(work *batch[In, Out]) bool {
	now := b.now()
	if now < work.start+int64(b.cfg.BatchTimeout) {
		return false
	}
	work.hung = true
	work.ctx.expire()
	late := uint64(0)
	for i := range work.out {
		if work.out[i].fail(ErrBatchTimeout) {
			late++
		}
	}
	b.ledger.timeouts++
	b.settle(&work.tally, late)
	b.release(work, now-work.start)
	b.memory[work.inst.id] = nil
	return true
}

// hanging returns how many runs have taken too long and not returned. b.mu is
// held.
func (b *Batcher[In, Out]) hanging() int {
	n := 0
	for _, work := range b.batches {
		if work.hung {
			n++
		}
	}
	return n
}

// vacancy returns an instance that nobody serves, for the goroutine of a run
// that hung and has returned, or nil. b.mu is held.
func (b *Batcher[In, Out]) vacancy() *instance {
	last := len(b.vacant) - 1
	if last < 0 {
		return nil
	}
	inst := b.vacant[last]
	b.vacant = b.vacant[:last]
	inst.freeAt.Store(idle)
	return inst
}
