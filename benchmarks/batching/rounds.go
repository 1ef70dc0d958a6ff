package batchbench

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// deviceAlone names the line for a device that always gets the largest batch
// that its callers could fill, at once: no library can be faster.
const deviceAlone = "device alone"

// cell is one configuration that every library is measured in.
type cell struct {
	Backend  Backend
	Devices  int
	Callers  int
	MaxBatch int
	Goal     bool // a goal is read from it: measured for longer
}

func (c cell) String() string {
	s := fmt.Sprintf("backend %s, %d callers, at most %d", c.Backend.Name, c.Callers, c.MaxBatch)
	if c.Devices > 1 {
		s += fmt.Sprintf(", %d devices", c.Devices)
	}
	return s
}

// cells are all configurations, those with goals first.
func cells() []cell {
	all := []cell{cellAlone, cellEight, cellMany, cellTwoDevices, cellNoop, cellNoopMost}
	seen := map[string]bool{}
	for _, c := range all {
		seen[c.String()] = true
	}
	for _, backend := range []Backend{Blocking, Noop} {
		for _, limit := range []int{32, 128} {
			for _, callers := range []int{1, 8, 1000, 10000} {
				c := cell{Backend: backend, Devices: 1, Callers: callers, MaxBatch: limit}
				if !seen[c.String()] {
					all = append(all, c)
				}
			}
		}
	}
	return all
}

// The cells that goals are read from.
var (
	cellAlone      = cell{Blocking, 1, 1, 32, true}
	cellEight      = cell{Blocking, 1, 8, 32, true}
	cellMany       = cell{Blocking, 1, 1000, 32, true}
	cellTwoDevices = cell{Blocking, 2, 1000, 32, true}
	cellNoop       = cell{Noop, 1, 1000, 32, true}
	cellNoopMost   = cell{Noop, 1, 10000, 32, true}
)

// rounds holds each round's figures: of a cell, of a library.
type rounds struct {
	cells     []cell
	libraries []Library
	results   map[string]map[string][]Result
}

// runRounds measures every cell with every library, taking turns: within a
// round the libraries of a cell follow on each other, and each round begins
// with another one, so that a noisy minute or the one before does not decide.
// Cells without a goal have every other round, and half the time in it.
func runRounds(cells []cell, libs []Library, turns int, length time.Duration) (*rounds, error) {
	if turns < 1 || length <= 0 {
		return nil, fmt.Errorf("%d rounds of %v: want at least one, of some length", turns, length)
	}
	r := &rounds{cells: cells, libraries: libs, results: map[string]map[string][]Result{}}
	for _, c := range cells {
		r.results[c.String()] = map[string][]Result{}
	}
	for round := range turns {
		for _, c := range cells {
			if !c.Goal && round%2 == 1 {
				continue
			}
			for i := range libs {
				if err := r.measure(c, libs[(i+round)%len(libs)], length); err != nil {
					return nil, err
				}
			}
			if c.Backend.Supported && c.Backend.Name == Blocking.Name && c.Devices == 1 {
				r.add(c, deviceAlone, saturate(c.Backend.New(), min(c.Callers, c.MaxBatch), length/2))
			}
		}
	}
	return r, nil
}

func (r *rounds) measure(c cell, lib Library, length time.Duration) error {
	if !c.Goal {
		length /= 2
	}
	loop := Closed{
		Library: lib, Backend: c.Backend, Devices: c.Devices, Callers: c.Callers, MaxBatch: c.MaxBatch,
		MinOps: 2 * c.Callers, For: length,
	}
	if loop.skip() != "" {
		return nil
	}
	result, err := loop.Run()
	if err == nil {
		r.add(c, lib.Name, result)
	}
	return err
}

func (r *rounds) add(c cell, lib string, result Result) {
	of := r.results[c.String()]
	of[lib] = append(of[lib], result)
}

// saturate runs batches of n items back to back.
func saturate(dev *Device, n int, length time.Duration) Result {
	r := Result{Batch: float64(n)}
	var took []int64
	cpu, begin := cpuTime(), time.Now()
	for r.Wall < length {
		dev.Run(n, n)
		before := r.Wall
		r.Wall = time.Since(begin)
		took = append(took, int64(r.Wall-before))
		r.Ops += n
	}
	r.CPU = cpuTime() - cpu
	r.P50 = time.Duration(quantile(took, 0.50))
	r.P99 = time.Duration(quantile(took, 0.99))
	return r
}

// figure picks a number out of a result.
type figure func(Result) float64

// The figures of a result that goals speak of. A time of 0 was not measured.
var (
	throughput figure = Result.PerSecond
	cpuPerItem figure = func(r Result) float64 { return unlessZero(r.CPU, r.CPUPerOp()) }
	p50        figure = func(r Result) float64 { return unlessZero(r.P50, float64(r.P50)/1e3) }
	p99        figure = func(r Result) float64 { return unlessZero(r.P99, float64(r.P99)/1e3) }

	itemsPerBatch  figure = func(r Result) float64 { return unlessZero(r.Batch, r.Batch) }
	allocsPerBatch figure = func(r Result) float64 { return unlessZero(r.Batch, r.AllocsPerBatch()) }
)

// unlessZero is v, or not a number where what it comes from is 0.
func unlessZero[T time.Duration | float64](from T, v float64) float64 {
	if from == 0 {
		return math.NaN()
	}
	return v
}

// finite leaves out what was not measured: it must not decide anything.
func finite(values []float64) []float64 {
	return slices.DeleteFunc(values, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
}

// median is the middle round's figure; ok is false where nothing was measured.
func (r *rounds) median(c cell, lib string, f figure) (value float64, ok bool) {
	var values []float64
	for _, result := range r.results[c.String()][lib] {
		values = append(values, f(result))
	}
	values = finite(values)
	return median(values), len(values) > 0
}

// compare is the median of the rounds' own values of a function of two
// results, which a machine that is slower in some rounds does not move.
func (r *rounds) compare(ca cell, a string, cb cell, b string, f func(a, b Result) float64) (value float64, ok bool) {
	as, bs := r.results[ca.String()][a], r.results[cb.String()][b]
	var values []float64
	for i := range min(len(as), len(bs)) {
		values = append(values, f(as[i], bs[i]))
	}
	values = finite(values)
	return median(values), len(values) > 0
}
