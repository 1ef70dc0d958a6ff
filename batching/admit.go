package batching

import (
	"context"
	"math"
	"sync/atomic"
	"time"
)

const (
	// defaultPatience is how long an item of a less urgent level waits at most
	// before it is overdue, and for how urgent an item without a deadline
	// counts among others with one.
	defaultPatience = 500 * time.Millisecond

	// tickShift makes ticks of about a millisecond out of nanoseconds. Items
	// whose deadlines differ by less run in the order in which they came.
	tickShift = 20
)

// load is what waits at one level.
type load struct{ items, units atomic.Int64 }

func (l *load) add(items, units int64) {
	l.items.Add(items)
	l.units.Add(units)
}

// claim makes a waiter for an item. It calls the user's functions, so w must
// not be known to anybody yet.
func (b *Batcher[In, Out]) claim(ctx context.Context, in In) (*waiter[In, Out], error) {
	w := b.pool.Get().(*waiter[In, Out])
	w.in, w.units, w.level = in, 1, 0
	if b.claims {
		if b.cfg.OnBatch != nil {
			w.ctx = ctx
		}
		if err := b.classify(w); err != nil {
			b.recycle(w)
			return nil, err
		}
	}
	w.since = b.now()
	w.limit = noLimit
	if deadline, ok := ctx.Deadline(); ok {
		w.limit = int64(deadline.Sub(b.epoch))
		w.due = w.limit >> tickShift
	} else {
		w.due = (w.since + int64(defaultPatience)) >> tickShift
	}
	if b.cfg.TargetLatency > 0 {
		w.limit = min(w.limit, w.since+int64(b.cfg.TargetLatency))
		w.due = w.limit >> tickShift
	}
	return w, nil
}

func (b *Batcher[In, Out]) classify(w *waiter[In, Out]) error {
	cfg := &b.cfg
	if cfg.Cost != nil {
		cost := cfg.Cost(w.in)
		if cfg.MaxBatchCost > 0 && cost > cfg.MaxBatchCost {
			return ErrTooLarge
		}
		w.units = int64(min(max(1, cost), maxCost))
	}
	if cfg.Priority != nil {
		w.level = uint8(min(max(0, cfg.Priority(w.in)), cfg.Priorities-1))
	}
	if cfg.Tenant != nil {
		w.tenant = cfg.Tenant(w.in)
		if cfg.TenantWeight != nil {
			w.weight = cfg.TenantWeight(w.tenant)
		}
	}
	if cfg.Group != nil {
		w.of = cfg.Group(w.in)
	}
	return nil
}

// accept gives w a place in the queue, or says why not. It takes no lock but
// for an item that would be refused if it had no better claim than others.
//
// For DoMany it is n places or none: w is the least urgent of so many items,
// and units is what they cost together. They displace nobody.
func (b *Batcher[In, Out]) accept(w *waiter[In, Out], n, units int64) error {
	if b.cfg.TargetLatency > 0 && b.places.Load()&closedBit == 0 {
		if err := b.inTime(w, n-1, units-w.units); err != nil {
			b.shed.Add(uint64(n))
			return err
		}
	}
	for {
		places := b.places.Load()
		if places&closedBit != 0 {
			b.rejectedClosed.Add(uint64(n))
			return ErrClosed
		}
		if places>>1+n > int64(b.cfg.MaxQueue) {
			if n == 1 && b.mayDisplace(w) {
				if full, placed := b.displace(w); placed {
					return nil
				} else if !full {
					continue
				}
			}
			b.rejectedFull.Add(uint64(n))
			return ErrQueueFull
		}
		if b.places.CompareAndSwap(places, places+2*n) {
			return nil
		}
	}
}

// mayDisplace reports whether w could have a better claim than another.
func (b *Batcher[In, Out]) mayDisplace(w *waiter[In, Out]) bool {
	return b.cfg.Tenant != nil || int(w.level) < b.cfg.Priorities-1
}

// displace gives w the place of an item with a worse claim, if there is one and
// the queue is still full.
func (b *Batcher[In, Out]) displace(w *waiter[In, Out]) (full, placed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drain()
	if places := b.places.Load(); places&closedBit != 0 || places>>1 < int64(b.cfg.MaxQueue) {
		return false, false
	}
	loser := b.schedule.displace(w)
	if loser == nil {
		return true, false
	}
	// Nobody can come between: the loser's place is given away at once.
	b.places.Add(2)
	b.ledger.displaced++
	b.expel(loser, ErrQueueFull)
	return true, true
}

// submit hands accepted waiters, from last back to first, to the collector.
func (b *Batcher[In, Out]) submit(first, last *waiter[In, Out]) {
	if b.cfg.TargetLatency > 0 {
		for w := last; ; w = w.next {
			b.ahead[w.level].add(1, w.units)
			if w == first {
				break
			}
		}
	}
	b.inbox.push(first, last)
	b.wake()
	if poke := b.poke.Load(); poke != 0 && b.places.Load()>>1 >= poke {
		b.prod()
	}
}

// wake gives the office to an idle instance if it is vacant.
func (b *Batcher[In, Out]) wake() {
	if b.office.Load() == officeVacant && b.office.CompareAndSwap(officeVacant, officeTaken) {
		b.calls <- struct{}{} // has room: only who takes the office sends
	}
}

// prod makes a lingering collector look again.
func (b *Batcher[In, Out]) prod() {
	select {
	case b.pokes <- struct{}{}:
	default:
	}
}

// inTime refuses w if it could not be answered before its limit, with so much
// of its own call and all that waits ahead of it.
func (b *Batcher[In, Out]) inTime(w *waiter[In, Out], items, units int64) error {
	switch until := b.speed.freshUntil.Load(); {
	case until == 0:
		return nil // nothing is known: try
	case w.since > until && b.places.Load()>>1 == 0 && b.anyIdle():
		return nil // what is known may be wrong: find out
	}
	ownItems, ownUnits := items, units
	for i := range int(w.level) + 1 {
		items += b.ahead[i].items.Load()
		units += b.ahead[i].units.Load()
	}
	estimate := b.estimate(items, units, w)
	if w.since+estimate <= w.limit {
		return nil
	}
	if b.cfg.Tenant != nil {
		// Others may be what is ahead, and this tenant have its share.
		b.mu.Lock()
		b.drain()
		weight, weights, waiting := b.schedule.share(w)
		b.mu.Unlock()
		fair := int64(float64(waiting) * weights / weight)
		level := &b.ahead[w.level]
		if others := level.items.Load() - fair; others > 0 {
			// The loads are of two moments.
			units = max(ownUnits, units-int64(float64(level.units.Load())*float64(others)/float64(fair+others)))
			items = max(ownItems+fair, items-others)
			if w.since+b.estimate(items, units, w) <= w.limit {
				return nil
			}
		}
	}
	return b.shedError(estimate, w)
}

func (b *Batcher[In, Out]) shedError(estimate int64, w *waiter[In, Out]) error {
	late := max(w.since+estimate-w.limit, int64(b.speed.predict(float64(w.units))), int64(time.Millisecond))
	return &ShedError{Estimate: time.Duration(estimate), RetryAfter: min(time.Duration(late), maxRetryAfter)}
}

const (
	// hopeless is the estimate when all runs hang: nobody knows for how long.
	hopeless = int64(time.Hour)

	// maxRetryAfter bounds what callers are told to wait, because estimates
	// that long are guesses.
	maxRetryAfter = time.Minute
)

// estimate returns how long w will take from now on, with so much ahead of it.
func (b *Batcher[In, Out]) estimate(items, units int64, w *waiter[In, Out]) int64 {
	items, units = items+1, units+w.units
	batches := math.Ceil(float64(items) / float64(b.cfg.MaxBatchSize))
	if most := b.cfg.MaxBatchCost; most > 0 {
		batches = max(batches, math.Ceil(float64(units)/float64(most)))
	}
	one := b.speed.predict(b.padded(float64(items)/batches, float64(units)/batches))
	free, working := b.nextFree(w.since)
	if working == 0 {
		return hopeless
	}
	start := float64(free) + (batches-1)*one/float64(working)
	return int64((start+one)*slack + b.speed.residual.Load()*math.Sqrt(batches))
}

// slack is what an estimate adds, besides a standard deviation, for what is no
// part of a run: an answer at the last moment is one too late.
const slack = 1.03

// padded returns the units, as the model counts them, of a batch.
func (b *Batcher[In, Out]) padded(items, units float64) float64 {
	for _, size := range b.cfg.Sizes {
		if items <= float64(size) {
			return float64(size)
		}
	}
	return units
}

// anyIdle reports whether an instance has nothing to do.
func (b *Batcher[In, Out]) anyIdle() bool {
	for _, inst := range b.instances {
		if inst.freeAt.Load() == idle {
			return true
		}
	}
	return false
}

// nextFree returns how long it takes until an instance is free, and how many
// work. A run that is late is expected to take as long again as it is late.
func (b *Batcher[In, Out]) nextFree(now int64) (wait int64, working int) {
	wait = math.MaxInt64 / 4
	for _, inst := range b.instances {
		at := inst.freeAt.Load()
		if at == never {
			continue
		}
		working++
		left := at - now
		switch {
		case at == idle:
			left = 0
		case left < 0:
			left = -left
		}
		wait = min(wait, left)
	}
	return wait, working
}
