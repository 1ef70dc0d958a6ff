package batching

import (
	"context"
	"iter"
	"time"
)

// BatchInfo is what Config.OnBatch is told of a batch. It is another name of a plain
// struct, so that who makes such a function need not import this package.
type BatchInfo = struct {
	Batcher  string    // Config.Name
	Instance int       // where it runs, from 0
	Size     int       // items
	Padded   int       // the next of Config.Sizes, or Size
	Cost     int64     // what the items cost together; Size without Config.Cost
	Group    string    // what Config.Group says of the items; "" without
	Sealed   time.Time // when the items were taken out of the queue
	// Members are the contexts that Do and DoMany were called with, one for each
	// item, and when these were called. They may be asked for until OnBatch returns.
	Members iter.Seq2[context.Context, time.Time]
}

// A roll is what OnBatch is told of, besides what the batch itself knows.
type roll struct {
	members []member
	cost    int64
	padded  int
	group   string
}

type member struct {
	ctx   context.Context
	since int64
}

// tell calls OnBatch and returns the context for run, and what to call after it, or
// nil. What panics there is no reason to lose the batch. Times are by the clock as it
// is now: since New it may have been set, or the machine suspended.
func (b *Batcher[In, Out]) tell(work *batch[In, Out]) (ctx context.Context, after func(error)) {
	ctx = &work.ctx
	defer b.survive()
	told := work.roll
	work.roll = nil // contexts hold requests, and whoever keeps a slot keeps work
	now := time.Now()
	at := func(t int64) time.Time { return now.Add(b.epoch.Sub(now) + time.Duration(t)) }
	c, after := b.cfg.OnBatch(ctx, BatchInfo{
		Batcher:  b.cfg.Name,
		Instance: work.inst.id,
		Size:     len(told.members),
		Padded:   told.padded,
		Cost:     told.cost,
		Group:    told.group,
		Sealed:   at(work.start),
		Members: func(yield func(context.Context, time.Time) bool) {
			for _, m := range told.members {
				if !yield(m.ctx, at(m.since)) {
					return
				}
			}
		},
	})
	if c != nil {
		ctx = c
	}
	return ctx, after
}

// told calls what OnBatch returned.
func (b *Batcher[In, Out]) told(after func(error), err error) {
	defer b.survive()
	after(err)
}

func (b *Batcher[In, Out]) survive() {
	if recover() != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.ledger.hookPanics++
	}
}
