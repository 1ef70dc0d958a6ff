package batchbench

import (
	"context"
	"math"

	"github.com/eapache/go-resiliency/batcher"
	"github.com/graph-gophers/dataloader/v7"
	"github.com/vikstrous/dataloadgen"
	"google.golang.org/api/support/bundler"
)

// newBundler: google.golang.org/api/support/bundler takes items and gives
// nothing back, so each brings the channel for its answer. Pointers, because
// the bundler boxes its items. Its handlers are as many as there are devices,
// and while they are busy the next bundle goes on filling.
func newBundler(s Setup) Peer { return bundlerPeer(s, bundler.DefaultBufferedByteLimit) }

// newBoundedBundler holds the cost of 8 full batches at most, where deadlines
// are 10 times the time of one, and refuses the rest.
func newBoundedBundler(s Setup) Peer { return bundlerPeer(s, int(8*meanCost*float64(s.MaxBatch))) }

// bundlerPeer takes an item's cost as its size in bytes.
func bundlerPeer(s Setup, limit int) Peer {
	compute := newDevices(s.Devices).run
	if len(s.Devices) == 1 {
		compute = s.Devices[0].Run // HandlerLimit sees to it
	}
	b := bundler.NewBundler((*call)(nil), func(items any) {
		batch := items.([]*call)
		compute(len(batch), totalCost(batch))
		answer(batch)
	})
	b.DelayThreshold = s.Linger
	b.BundleCountThreshold = s.MaxBatch
	b.BundleByteThreshold = math.MaxInt
	b.BufferedByteLimit = limit
	b.HandlerLimit = len(s.Devices)
	calls := newCallPool()
	return Peer{
		Do: func(_ context.Context, it Item) (uint64, error) {
			c := calls.get(it)
			if err := b.Add(c, it.Cost); err != nil {
				calls.put(c)
				return 0, err
			}
			return calls.wait(c), nil
		},
		Close: b.Flush,
	}
}

// newEapache: github.com/eapache/go-resiliency/batcher answers with an error
// only, so items carry their answers back. It knows no largest batch and runs
// batches at the same time: its function splits them for the devices.
func newEapache(s Setup) Peer {
	pool := newDevices(s.Devices)
	b := batcher.New(s.Linger, func(params []any) error {
		for len(params) > 0 {
			batch := params[:min(len(params), s.MaxBatch)]
			params = params[len(batch):]
			cost := 0
			for _, p := range batch {
				cost += p.(*call).item.Cost
			}
			pool.run(len(batch), cost)
			for _, p := range batch {
				c := p.(*call)
				c.answer = c.item.Answer()
			}
		}
		return nil
	})
	calls := newCallPool()
	return Peer{
		Do: func(_ context.Context, it Item) (uint64, error) {
			c := calls.get(it)
			err := b.Run(c)
			got := c.answer
			calls.put(c)
			return got, err
		},
		Close: func() { b.Shutdown(true) },
	}
}

// newDataloader: github.com/graph-gophers/dataloader/v7 without its cache,
// which grows for ever. Batches run at the same time.
func newDataloader(s Setup) Peer {
	pool := newDevices(s.Devices)
	l := dataloader.NewBatchedLoader(func(_ context.Context, keys []Item) []*dataloader.Result[uint64] {
		pool.run(len(keys), itemsCost(keys))
		results := make([]dataloader.Result[uint64], len(keys))
		pointers := make([]*dataloader.Result[uint64], len(keys))
		for i, it := range keys {
			results[i].Data = it.Answer()
			pointers[i] = &results[i]
		}
		return pointers
	},
		dataloader.WithCache[Item, uint64](&dataloader.NoCache[Item, uint64]{}),
		dataloader.WithBatchCapacity[Item, uint64](s.MaxBatch),
		dataloader.WithInputCapacity[Item, uint64](s.MaxBatch),
		dataloader.WithWait[Item, uint64](s.Linger),
	)
	return Peer{
		Do:    func(ctx context.Context, it Item) (uint64, error) { return l.Load(ctx, it)() },
		Close: func() {},
	}
}

// newDataloadgen: github.com/vikstrous/dataloadgen, the same.
func newDataloadgen(s Setup) Peer {
	pool := newDevices(s.Devices)
	l := dataloadgen.NewLoader(func(_ context.Context, keys []Item) ([]uint64, []error) {
		pool.run(len(keys), itemsCost(keys))
		results := make([]uint64, len(keys))
		for i, it := range keys {
			results[i] = it.Answer()
		}
		return results, nil
	},
		dataloadgen.WithoutCache(),
		dataloadgen.WithBatchCapacity(s.MaxBatch),
		dataloadgen.WithWait(s.Linger),
	)
	return Peer{Do: l.Load, Close: func() {}}
}

func itemsCost(items []Item) int {
	cost := 0
	for _, it := range items {
		cost += it.Cost
	}
	return cost
}
