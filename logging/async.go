package logging

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"time"
)

// AsyncConfig configures NewAsyncWriter. The zero value is useful.
type AsyncConfig struct {
	// MaxBytes is how much may wait while the writer below is busy, from 1 KiB
	// to 1 GiB. A record that finds no room is dropped, and so the newest are
	// lost first. Two buffers of this size are held. 0 means 1 MiB.
	MaxBytes int
	// MaxRecords is how many may wait, 1 at least. 0 means 16384.
	MaxRecords int
	// Delay is how long a record waits for others to go in the same Write, if
	// less than half a buffer is full, and so how much a crash of the process
	// may lose. 0 means 100 ms.
	Delay time.Duration

	_ struct{}
}

const (
	defaultAsyncBytes   = 1 << 20
	defaultAsyncRecords = 1 << 14
	defaultAsyncDelay   = 100 * time.Millisecond
)

func (c *AsyncConfig) validate() error {
	var errs []error
	if c.MaxBytes == 0 {
		c.MaxBytes = defaultAsyncBytes
	}
	if c.MaxBytes < 1<<10 || c.MaxBytes > 1<<30 {
		errs = append(errs, fmt.Errorf("logging: AsyncConfig.MaxBytes: %d is not in [1024, %d]", c.MaxBytes, 1<<30))
	}
	if c.MaxRecords == 0 {
		c.MaxRecords = defaultAsyncRecords
	}
	if c.MaxRecords < 0 || c.MaxRecords > math.MaxInt32 {
		errs = append(errs, fmt.Errorf("logging: AsyncConfig.MaxRecords: %d is not in [1, %d]", c.MaxRecords, math.MaxInt32))
	}
	if c.Delay == 0 {
		c.Delay = defaultAsyncDelay
	}
	if c.Delay < 0 {
		errs = append(errs, fmt.Errorf("logging: AsyncConfig.Delay: %v is negative", c.Delay))
	}
	return errors.Join(errs...)
}

// An AsyncWriter is an Output that never makes a caller wait: a goroutine of its
// own writes to the writer below, many records in one Write, in order and each
// whole. A writer below that hangs, fails or panics costs records, which Stats
// counts, and no request anything. Make it with NewAsyncWriter, and Close it last.
//
// A Logger whose Output it is writes its audit stream past the buffer: see
// Config.Audit.
type AsyncWriter struct {
	cfg AsyncConfig

	// some has a token if there may be records, hurry if they should go now.
	some, hurry chan struct{}
	done        chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	phase   phase
	pending batch // what Write adds to
	flying  batch // what the goroutine writes; it alone touches it meanwhile
	handled uint64
	waiters []waiter
	stats   AsyncStats
	lost    error // of the Close that gave up

	out sync.Mutex // held while to writes
	to  lineWriter
}

type phase uint8

const (
	running   phase = iota
	closing         // Close waits, and the goroutine ends once nothing is pending
	closed          // the goroutine has ended
	abandoned       // Close has given up
)

// A batch is records end to end.
type batch struct {
	data []byte
	ends []int // where each record ends
}

func newBatch(cfg AsyncConfig) batch {
	return batch{make([]byte, 0, cfg.MaxBytes), make([]int, 0, min(cfg.MaxRecords, defaultAsyncRecords))}
}

// A waiter is a Flush that waits until so many records are handled.
type waiter struct {
	target uint64
	ready  chan struct{}
}

// AsyncStats is an AsyncWriter's work so far.
type AsyncStats struct {
	Written uint64 // records that the writer below took
	Failed  uint64 // records that it refused, wholly or in part, or panicked on; they are lost
	Dropped uint64 // records that found no room, or that Close gave up; they are lost

	Waiting      int // records that are neither yet
	WaitingBytes int
}

var (
	errNoRoom = errors.New("logging: AsyncWriter: no room for the record")
	errClosed = errors.New("logging: AsyncWriter: closed while the writer below hung")
)

// NewAsyncWriter returns an AsyncWriter to w, or all that is wrong with cfg. Nobody
// else may write to w.
func NewAsyncWriter(w io.Writer, cfg AsyncConfig) (*AsyncWriter, error) {
	err := cfg.validate()
	if w == nil {
		err = errors.Join(errors.New("logging: NewAsyncWriter: the writer is nil"), err)
	}
	if err != nil {
		return nil, err
	}
	a := &AsyncWriter{
		to: lineWriter{w: w}, cfg: cfg, pending: newBatch(cfg), flying: newBatch(cfg),
		some: make(chan struct{}, 1), hurry: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go a.run()
	return a, nil
}

// Write takes p, which is one record, or drops it and says so. It keeps nothing of
// p. After Close it writes before it returns or, if Close gave up, drops.
func (a *AsyncWriter) Write(p []byte) (int, error) {
	a.mu.Lock()
	switch a.phase {
	case closed:
		a.mu.Unlock()
		return a.late(p)
	case abandoned:
		defer a.mu.Unlock()
		a.stats.Dropped++
		return 0, errClosed
	}
	defer a.mu.Unlock()
	if !a.pending.add(p, a.cfg) {
		a.stats.Dropped++
		return 0, errNoRoom
	}
	if len(a.pending.ends) == 1 {
		signal(a.some)
	}
	if len(a.pending.data) > a.cfg.MaxBytes/2 || len(a.pending.ends) > a.cfg.MaxRecords/2 {
		signal(a.hurry)
	}
	return len(p), nil
}

func (b *batch) add(p []byte, cfg AsyncConfig) bool {
	if len(p) > cfg.MaxBytes-len(b.data) || len(b.ends) >= cfg.MaxRecords {
		return false
	}
	b.data = append(b.data, p...)
	b.ends = append(b.ends, len(b.data))
	return true
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// late writes what comes after Close.
func (a *AsyncWriter) late(p []byte) (int, error) {
	n, err := a.direct(p)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.stats.Failed++
	} else {
		a.stats.Written++
	}
	return n, err
}

// direct writes p, past what is pending, before it returns: it is for audits,
// which are not in Stats.
func (a *AsyncWriter) direct(p []byte) (int, error) {
	a.mu.Lock()
	gone := a.phase == abandoned
	a.mu.Unlock()
	if gone {
		return 0, errClosed
	}
	a.out.Lock()
	defer a.out.Unlock()
	return a.to.Write(p)
}

// run is the goroutine.
func (a *AsyncWriter) run() {
	defer close(a.done)
	timer := time.NewTimer(a.cfg.Delay)
	defer timer.Stop()
	for {
		<-a.some
		timer.Reset(a.cfg.Delay)
		select {
		case <-timer.C:
		case <-a.hurry:
			timer.Stop()
		}
		for {
			work, end := a.take()
			if end {
				return
			}
			if !work {
				break
			}
			a.fly()
			if !a.isPressed() {
				break
			}
		}
	}
}

// take has what is pending fly. It reports whether there is anything, and whether
// all is over.
func (a *AsyncWriter) take() (work, end bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.phase == abandoned {
		return false, true
	}
	if len(a.pending.ends) == 0 {
		if a.phase == closing {
			a.phase = closed
			return false, true
		}
		return false, false
	}
	a.pending, a.flying = a.flying, a.pending
	return true, false
}

// isPressed reports whether what is pending should go at once.
func (a *AsyncWriter) isPressed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.phase != running || len(a.waiters) > 0
}

// fly writes the batch that flies, and lands it.
func (a *AsyncWriter) fly() {
	a.out.Lock()
	n, err := a.to.Write(a.flying.data)
	a.out.Unlock()

	a.mu.Lock()
	defer a.mu.Unlock()
	all := len(a.flying.ends)
	whole := all
	if err != nil {
		for whole = 0; whole < all && a.flying.ends[whole] <= n; whole++ {
		}
	}
	a.stats.Written += uint64(whole)
	a.stats.Failed += uint64(all - whole)
	a.flying.data, a.flying.ends = a.flying.data[:0], a.flying.ends[:0]
	a.handled += uint64(all)
	left := a.waiters[:0]
	for _, w := range a.waiters {
		if w.target <= a.handled {
			close(w.ready)
		} else {
			left = append(left, w)
		}
	}
	clear(a.waiters[len(left):])
	a.waiters = left
}

// Flush waits until all that was written before is handed to the writer below, or
// counted as lost. If ctx ends first, its error says how many wait.
func (a *AsyncWriter) Flush(ctx context.Context) error {
	a.mu.Lock()
	waiting, _ := a.waiting()
	if waiting == 0 {
		a.mu.Unlock()
		return nil
	}
	ready := make(chan struct{})
	a.waiters = append(a.waiters, waiter{a.handled + uint64(waiting), ready})
	a.mu.Unlock()
	signal(a.some)
	signal(a.hurry)
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		a.mu.Lock()
		defer a.mu.Unlock()
		n := len(a.waiters)
		a.waiters = slices.DeleteFunc(a.waiters, func(w waiter) bool { return w.ready == ready })
		if len(a.waiters) == n { // it is ready, after all
			return nil
		}
		return a.unfinished("Flush", ctx)
	}
}

// Close is Flush and the end of the goroutine. If ctx ends first it gives up: what
// waits is lost, is counted and named by the error, and the goroutine ends when the
// writer below lets go of it. Records that come while it waits are written, too.
func (a *AsyncWriter) Close(ctx context.Context) error {
	a.mu.Lock()
	if a.phase == running {
		a.phase = closing
	}
	a.mu.Unlock()
	signal(a.some)
	signal(a.hurry)
	select {
	case <-a.done:
	case <-ctx.Done():
	}
	return a.settle(ctx)
}

// settle gives up what is left when Close has waited long enough.
func (a *AsyncWriter) settle(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.phase == closing {
		a.lost = a.unfinished("Close", ctx)
		a.phase = abandoned
		a.stats.Dropped += uint64(len(a.pending.ends))
		a.pending = batch{}
	}
	return a.lost
}

// unfinished names what waits. a.mu is held.
func (a *AsyncWriter) unfinished(what string, ctx context.Context) error {
	records, bytes := a.waiting()
	return fmt.Errorf("logging: AsyncWriter.%s: %d records (%d bytes) are not written: %w", what, records, bytes, context.Cause(ctx))
}

// waiting counts what is neither written nor lost. a.mu is held.
func (a *AsyncWriter) waiting() (records, bytes int) {
	return len(a.pending.ends) + len(a.flying.ends), len(a.pending.data) + len(a.flying.data)
}

// Stats returns a snapshot.
func (a *AsyncWriter) Stats() AsyncStats {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.stats
	s.Waiting, s.WaitingBytes = a.waiting()
	return s
}
