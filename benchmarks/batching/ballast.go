package batchbench

import (
	"context"

	"github.com/ballast-go/ballast/batching"
)

func newBallast(s Setup) Peer {
	// One device needs no pool: an instance runs one batch at a time.
	compute := s.Devices[0].Run
	if len(s.Devices) > 1 {
		compute = newDevices(s.Devices).run
	}
	cfg := batching.Config[Item]{
		MaxBatchSize:  s.MaxBatch,
		MaxQueue:      s.Callers,
		Instances:     len(s.Devices),
		TargetLatency: s.TargetLatency,
	}
	if s.TargetLatency > 0 {
		cfg.Cost = func(it Item) int { return it.Cost }
	}
	b, err := batching.New(func(_ context.Context, in []Item, out []batching.Slot[uint64]) error {
		cost := 0
		for _, it := range in {
			cost += it.Cost
		}
		compute(len(in), cost)
		for i, it := range in {
			out[i].Set(it.Answer())
		}
		return nil
	}, cfg)
	if err != nil {
		panic(err) // a wrong benchmark
	}
	return Peer{Do: b.Do, Close: func() {
		if err := b.Close(context.Background()); err != nil {
			panic(err)
		}
	}}
}
