package batchbench

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// open is an open loop: items arrive when they arrive, whoever still waits.
// Each has a deadline, and answers count if they come before it; both are
// reckoned from when the item should have arrived, so that a generator that
// falls behind makes figures worse and not better.
type open struct {
	library  Library
	kind     kind
	batch    int     // most items in one
	rate     float64 // arrivals a second
	bursts   bool
	deadline time.Duration
	warm     time.Duration // not measured
	length   time.Duration // measured
}

// openResult is about the items that arrived in the measured part.
type openResult struct {
	arrived int
	inTime  int // answered before their deadline
	late    int // answered after it
	failed  int // got an error
	goodput float64
	p99     time.Duration // of those in time
	lag     time.Duration // 99 % of items were sent at most so late
}

// openRun is an open loop under way.
type openRun struct {
	open
	peer     Peer
	device   *accelerator
	schedule []arrival
	took     []int64 // ns from the intended arrival, of each item; failed: failure
	lags     []int64
	start    time.Time
	wrong    atomic.Int64 // answers
}

const failure = -1

func (o open) run() (openResult, error) {
	seed := uint64(o.rate) // the same arrivals for each library
	r := &openRun{
		open:     o,
		device:   newAccelerator(o.kind, seed),
		schedule: newSchedule(o.rate, o.bursts, o.warm+o.length, seed),
	}
	n := len(r.schedule)
	r.took, r.lags = make([]int64, n), make([]int64, n)
	r.peer = o.library.New(Setup{
		Devices: []*Device{r.device.Device}, MaxBatch: o.batch, Callers: n, Linger: Linger, TargetLatency: o.deadline,
	})
	runtime.GC()
	r.generate()
	if wrong := r.wrong.Load(); wrong > 0 {
		return openResult{}, fmt.Errorf("%s: %d wrong answers", o.library.Name, wrong)
	}
	return r.result(), nil
}

// generate sends the items on time and waits for them all.
func (r *openRun) generate() {
	var calls sync.WaitGroup
	straggleAt := r.warm + r.length/2
	r.start = time.Now()
	for i, a := range r.schedule {
		if r.kind.straggler && a.at >= straggleAt {
			r.device.straggle.Store(true)
			straggleAt = r.warm + 2*r.length // once
		}
		r.await(a.at)
		r.lags[i] = int64(time.Since(r.start) - a.at)
		calls.Go(func() { r.call(i) })
	}
	// Whoever is not answered a deadline later will not be in time: what is
	// left need not be waited for.
	r.await(r.warm + r.length + r.deadline)
	r.device.off.Store(true)
	calls.Wait()
	r.peer.Close()
}

// await holds the generator's own thread: a timer would be up to a millisecond
// late on an idle process (golang/go#44343), and spinning would take half of a
// small machine away from the batcher.
func (r *openRun) await(at time.Duration) {
	for {
		left := at - time.Since(r.start)
		if left <= 0 {
			return
		}
		block(left)
	}
}

func (r *openRun) call(i int) {
	a := r.schedule[i]
	ctx, cancel := context.WithDeadline(context.Background(), r.start.Add(a.at+r.deadline))
	defer cancel()
	it := Item{ID: uint64(i), Cost: a.cost}
	got, err := r.peer.Do(ctx, it)
	switch {
	case err != nil:
		r.took[i] = failure
	case got != it.Answer():
		r.wrong.Add(1)
	default:
		r.took[i] = int64(time.Since(r.start) - a.at)
	}
}

func (r *openRun) result() openResult {
	var res openResult
	var inTime, lags []int64
	for i, a := range r.schedule {
		if a.at < r.warm {
			continue
		}
		res.arrived++
		lags = append(lags, r.lags[i])
		switch took := r.took[i]; {
		case took == failure:
			res.failed++
		case took > int64(r.deadline):
			res.late++
		default:
			inTime = append(inTime, took)
		}
	}
	res.inTime = len(inTime)
	res.goodput = float64(res.inTime) / r.length.Seconds()
	res.p99 = time.Duration(quantile(inTime, 0.99))
	res.lag = time.Duration(quantile(lags, 0.99))
	return res
}
