package stackbench

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"
)

// An Op does n operations on behalf of a worker. It fails if one of them does
// not end as it should: a figure for the wrong path would be worth nothing.
type Op func(worker, n int) error

// A Sample is what one turn measured.
type Sample struct {
	Ops    int
	Wall   time.Duration
	CPU    time.Duration // of the whole process: workers, background, collector
	Allocs uint64
}

// WallPerOp is the time between the ends of two operations, in nanoseconds.
func (s Sample) WallPerOp() float64 { return float64(s.Wall) / float64(s.Ops) }

// CPUPerOp is what an operation costs, in nanoseconds; not a number where the
// system does not say.
func (s Sample) CPUPerOp() float64 {
	if s.CPU == 0 {
		return math.NaN()
	}
	return float64(s.CPU) / float64(s.Ops)
}

// AllocsPerOp is how many objects an operation allocates.
func (s Sample) AllocsPerOp() float64 { return float64(s.Allocs) / float64(s.Ops) }

// PerSecond is the throughput.
func (s Sample) PerSecond() float64 { return float64(s.Ops) / s.Wall.Seconds() }

// measure lets so many workers do batches of n operations for so long. The
// clock is read once a batch.
func measure(op Op, workers, n int, length time.Duration) (Sample, error) {
	for w := range workers { // caches, pools, threads
		if err := op(w, n); err != nil {
			return Sample{}, err
		}
	}
	ops := make([]int, workers)
	errs := make([]error, workers)
	work := func(w int, begin time.Time) {
		for time.Since(begin) < length && errs[w] == nil {
			errs[w] = op(w, n)
			ops[w] += n
		}
	}
	var before, after runtime.MemStats
	runtime.GC() // a contender pays for its own garbage only
	runtime.ReadMemStats(&before)
	cpu, begin := cpuTime(), time.Now()
	if workers == 1 {
		work(0, begin)
	} else {
		var all sync.WaitGroup
		for w := range workers {
			all.Go(func() { work(w, begin) })
		}
		all.Wait()
	}
	s := Sample{Wall: time.Since(begin), CPU: cpuTime() - cpu}
	runtime.ReadMemStats(&after)
	s.Allocs = after.Mallocs - before.Mallocs
	for w := range workers {
		if errs[w] != nil {
			return Sample{}, fmt.Errorf("worker %d: %w", w, errs[w])
		}
		s.Ops += ops[w]
	}
	return s, nil
}

// median is the middle value, or the mean of the middle two. What was not
// measured, and so is no finite number, is left out; ok is false if that is all.
func median(values []float64) (value float64, ok bool) {
	sorted := slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	slices.Sort(sorted)
	n := len(sorted)
	if n == 0 {
		return 0, false
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2, true
}
