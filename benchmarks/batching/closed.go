package batchbench

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Closed is a closed loop: each of Callers submits its next item when it has
// the answer to the last. What happens before everyone is on the way, and when
// the first have stopped, is not measured.
type Closed struct {
	Library  Library
	Backend  Backend
	Devices  int // each a device of its own; 0 means 1
	Callers  int
	MaxBatch int

	// The measured part ends when both are reached.
	MinOps int
	For    time.Duration
}

// Result is what a closed loop measured.
type Result struct {
	Ops    int // answers in the measured part
	Wall   time.Duration
	CPU    time.Duration // of the whole process: callers, batcher, collector
	P50    time.Duration
	P99    time.Duration
	Batch  float64 // items in the mean batch; 0 if none ended
	Allocs float64 // of each item
}

// PerSecond is the throughput in items.
func (r Result) PerSecond() float64 { return float64(r.Ops) / r.Wall.Seconds() }

// CPUPerOp is what an item costs, in nanoseconds.
func (r Result) CPUPerOp() float64 { return float64(r.CPU) / float64(r.Ops) }

// WallPerOp is the time between two answers, in nanoseconds.
func (r Result) WallPerOp() float64 { return float64(r.Wall) / float64(r.Ops) }

// AllocsPerBatch is what a batch of the mean size allocates.
func (r Result) AllocsPerBatch() float64 { return r.Allocs * r.Batch }

// Run measures. It fails if an answer is wrong.
func (c Closed) Run() (Result, error) {
	devs := make([]*Device, max(c.Devices, 1))
	for i := range devs {
		devs[i] = c.Backend.New()
	}
	peer := c.Library.New(Setup{Devices: devs, MaxBatch: c.MaxBatch, Callers: c.Callers, Linger: Linger})
	// A peer pays for its own garbage only.
	runtime.GC()
	m := newMeter(c, devs)
	var callers sync.WaitGroup
	for i := range c.Callers {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		callers.Go(func() { m.call(ctx, peer, uint64(i)) })
	}
	callers.Wait()
	peer.Close()
	if err := m.err.Load(); err != nil {
		return Result{}, fmt.Errorf("%s: %w", c.Library.Name, *err)
	}
	return m.result(), nil
}

// latencies is where the meters put their samples, one after the other. It is
// kept so that a run neither allocates nor touches fresh memory for them.
var latencies = make([]uint32, 4<<20)

// meter measures from the warm-th answer on. What it costs a call, the same in
// every library: one reading of the clock, one atomic increment, one store.
type meter struct {
	devices []*Device
	epoch   time.Time
	warm    int64
	minOps  int64
	length  time.Duration

	answers    atomic.Int64
	deadline   atomic.Int64 // since epoch; when the measured part may end
	stopped    atomic.Bool
	begin, end snapshot
	err        atomic.Pointer[error]
}

// snapshot is the state of the process after so many answers.
type snapshot struct {
	answers        int64
	at             time.Duration
	cpu            time.Duration
	mallocs        uint64
	batches, items int64
}

func newMeter(c Closed, devs []*Device) *meter {
	m := &meter{
		devices: devs,
		epoch:   time.Now(),
		warm:    2 * int64(c.Callers), // everyone has been served and is queued again
		minOps:  int64(c.MinOps),
		length:  c.For,
	}
	if c.Callers == 1 {
		m.warm = 20 // buffers, pools, threads
	}
	m.deadline.Store(math.MaxInt64)
	return m
}

// call is a caller's loop.
func (m *meter) call(ctx context.Context, peer Peer, caller uint64) {
	now := time.Since(m.epoch)
	for seq := uint64(0); !m.stopped.Load(); seq++ {
		it := Item{ID: caller<<32 | seq, Cost: 1}
		got, err := peer.Do(ctx, it)
		if err == nil && got != it.Answer() {
			err = fmt.Errorf("item %d got %d, want %d", it.ID, got, it.Answer())
		}
		if err != nil {
			m.fail(err)
			return
		}
		before := now
		now = time.Since(m.epoch)
		i := m.answers.Add(1) - m.warm
		switch {
		case i < 0:
			continue
		case i == 0:
			m.take(&m.begin)
			now = m.begin.at
			m.deadline.Store(int64(now + m.length))
			continue
		case i < int64(len(latencies)):
			latencies[i] = uint32(min(now-before, math.MaxUint32))
		}
		if int64(now) >= m.deadline.Load() && i-m.begin.answers >= m.minOps && m.stopped.CompareAndSwap(false, true) {
			m.take(&m.end)
		}
	}
}

// fail ends the run. It is not part of call, where &err would make every call
// allocate one.
func (m *meter) fail(err error) {
	m.err.Store(&err)
	m.stopped.Store(true)
}

// take stops the world for the allocations; what moves on meanwhile is read
// after that, at one moment.
func (m *meter) take(s *snapshot) {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	s.mallocs = mem.Mallocs
	for _, d := range m.devices {
		s.batches += d.batches.Load()
		s.items += d.items.Load()
	}
	s.cpu = cpuTime()
	s.at = time.Since(m.epoch)
	s.answers = m.answers.Load() - m.warm
}

func (m *meter) result() Result {
	ops := m.end.answers - m.begin.answers
	r := Result{
		Ops:    int(ops),
		Wall:   m.end.at - m.begin.at,
		CPU:    m.end.cpu - m.begin.cpu,
		Allocs: float64(m.end.mallocs-m.begin.mallocs) / float64(max(ops, 1)),
	}
	// A run of a few answers may end within one batch.
	if batches := m.end.batches - m.begin.batches; batches > 0 {
		r.Batch = float64(m.end.items-m.begin.items) / float64(batches)
	}
	from, to := m.begin.answers+1, min(m.end.answers+1, int64(len(latencies)))
	samples := latencies[min(from, to):to]
	r.P50 = time.Duration(quantile(samples, 0.50))
	r.P99 = time.Duration(quantile(samples, 0.99))
	return r
}

// skip says why a cell is not measured, or nothing.
func (c Closed) skip() string {
	if !c.Backend.Supported {
		return "a device that blocks its thread needs Linux"
	}
	if c.Library.Name == unbatched && c.Backend.Name == Blocking.Name && c.Callers >= 1000 {
		return "without batches a round of that many callers takes seconds"
	}
	return ""
}
