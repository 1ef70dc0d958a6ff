package batchbench

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// accelerator is the open loop's device.
type accelerator struct {
	*Device
	straggle atomic.Bool // the next batch takes stragglerFactor times as long
	off      atomic.Bool // batches take no time: nobody counts them any more
	rng      *rand.Rand  // the device runs one batch at a time
	kind     kind
}

// kind is how long the batches of an accelerator take.
type kind struct {
	name      string
	stepped   bool
	straggler bool // once, in the middle of the run
}

// What makes kinds differ.
const (
	step            = 172 // cost units: a quarter of a full batch
	jitter          = 0.1
	stragglerFactor = 50
)

// kinds are the open loop's backends.
func kinds() []kind {
	return []kind{
		{name: "linear"},
		{name: "stepped", stepped: true},
		{name: "straggler", straggler: true},
	}
}

func newAccelerator(k kind, seed uint64) *accelerator {
	a := &accelerator{kind: k, rng: rand.New(rand.NewPCG(seed, 2))}
	a.Device = NewDevice(func(_, cost int) {
		if !a.off.Load() {
			block(a.takes(cost))
		}
	})
	return a
}

// takes says how long the next batch runs.
func (a *accelerator) takes(cost int) time.Duration {
	if a.kind.stepped {
		cost = (cost + step - 1) / step * step
	}
	d := batchTime + time.Duration(cost)*costTime
	if a.kind.stepped {
		d = time.Duration(float64(d) * (1 + jitter*(2*a.rng.Float64()-1)))
	}
	if a.straggle.CompareAndSwap(true, false) {
		d *= stragglerFactor
	}
	return d
}

// serviceTime measures what full batches of the open loop's items take.
func serviceTime(k kind, batch, runs int) time.Duration {
	a := newAccelerator(k, 3)
	rng := rand.New(rand.NewPCG(3, 3))
	begin := time.Now()
	for range runs {
		cost := 0
		for range batch {
			cost += newCost(rng)
		}
		a.Run(batch, cost)
	}
	return time.Since(begin) / time.Duration(runs)
}
