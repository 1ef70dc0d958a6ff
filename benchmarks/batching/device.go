package batchbench

import (
	"sync/atomic"
	"time"
)

// A Device stands for the accelerator. It runs one batch at a time, as a GPU's
// stream does, and panics if it is handed a second one.
type Device struct {
	wait    func(n, cost int) // how long a batch takes; nil: no time
	busy    atomic.Bool
	batches atomic.Int64
	items   atomic.Int64
}

// NewDevice makes a device whose batches of n items and a summed cost take as
// long as wait blocks.
func NewDevice(wait func(n, cost int)) *Device { return &Device{wait: wait} }

// Run computes a batch of n items.
func (d *Device) Run(n, cost int) {
	if !d.busy.CompareAndSwap(false, true) {
		panic("batchbench: a device was handed two batches at once")
	}
	if d.wait != nil {
		d.wait(n, cost)
	}
	d.batches.Add(1)
	d.items.Add(int64(n))
	d.busy.Store(false)
}

// A Backend makes the devices of one benchmark.
type Backend struct {
	Name      string
	Supported bool // on this operating system
	New       func() *Device
}

// Noop computes in no time: what remains is the batcher.
var Noop = Backend{Name: "noop", Supported: true, New: func() *Device { return NewDevice(nil) }}

// What a batch takes on the blocking device.
const (
	batchTime = 200 * time.Microsecond
	costTime  = 2 * time.Microsecond
)

// Blocking holds its OS thread in the kernel for 200 µs and 2 µs more for each
// unit of cost, as a cgo call to a GPU does. (time.Sleep would only park the
// goroutine, and the scheduler would never have to find another thread.)
var Blocking = Backend{Name: "200us", Supported: canBlock, New: func() *Device {
	return NewDevice(func(_, cost int) { block(batchTime + time.Duration(cost)*costTime) })
}}

// devices is a set of devices for libraries that run batches at the same time
// as each other: a batch takes a free one, the longest waiting batch first. (A
// mutex lets the newest barge in: no cheaper, and dataloadgen's p99 is tenfold.)
type devices chan *Device

func newDevices(all []*Device) devices {
	d := make(devices, len(all))
	for _, dev := range all {
		d <- dev
	}
	return d
}

func (d devices) run(n, cost int) {
	dev := <-d
	dev.Run(n, cost)
	d <- dev
}
