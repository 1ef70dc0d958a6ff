package batching_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ballast-go/ballast/batching"
)

// within returns a context that ends in so many milliseconds.
func within(ms int) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Duration(ms)*time.Millisecond)
}

// putDeadlines puts tasks with ids from 0 on and these deadlines, in
// milliseconds from now; 0 is none.
func (f *floor) putDeadlines(t *testing.T, ms ...int) []*taskCall {
	begin := time.Now()
	calls := make([]*taskCall, len(ms))
	for i, ms := range ms {
		ctx, cancel := context.Background(), context.CancelFunc(func() {})
		if ms > 0 {
			ctx, cancel = context.WithDeadline(ctx, begin.Add(time.Duration(ms)*time.Millisecond))
		}
		t.Cleanup(cancel)
		calls[i] = f.putWithin(task{id: i}, ctx)
	}
	return calls
}

func TestEarliestDeadlineFirst(t *testing.T) {
	for _, c := range []struct {
		name string
		ms   []int
		want string
	}{
		{"rising", []int{10, 20, 30, 40}, "0 1|2 3"},
		{"falling", []int{40, 30, 20, 10}, "3 2|1 0"},
		{"mixed", []int{30, 10, 40, 20, 35, 15}, "1 5|3 0|4 2"},
		{"less than a tick apart, by arrival", []int{100, 50, 50, 50}, "1 2|3 0"},
		{"none counts as half a second", []int{0, 900, 400, 0, 499}, "2 4|0 3|1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := heldFloor(t, batching.Config[task]{MaxBatchSize: 2})
				f.putDeadlines(t, c.ms...)
				f.release(t)
				f.wantOrder(t, c.want)
			})
		})
	}
}

// Deadlines that differ by less than a tick do not make later callers overtake:
// their contexts' clocks are not that good either.
func TestDeadlinesInOneTickGoByArrival(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := heldFloor(t, batching.Config[task]{MaxBatchSize: 1})
		const tick = 1 << 20 * time.Nanosecond
		begin := time.Now() // of the batcher, but for a microsecond
		for i, at := range []time.Duration{100*tick + 900*time.Microsecond, 100*tick + 500*time.Microsecond, 100*tick + 200*time.Microsecond} {
			ctx, cancel := context.WithDeadline(context.Background(), begin.Add(at))
			defer cancel()
			f.putWithin(task{id: i}, ctx)
		}
		f.release(t)
		f.wantOrder(t, "0|1|2")
	})
}

// One of a tick arrives when others with later deadlines wait, another when they
// have left.
func TestArrivalCountsInOneTickAfterOthersLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := heldFloor(t, batching.Config[task]{MaxBatchSize: 1})
		calls := f.putDeadlines(t, 90, 50)
		calls[0].cancel()
		<-calls[0].done
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond-3*time.Microsecond)
		defer cancel()
		f.putWithin(task{id: 2}, ctx)
		f.release(t)
		f.wantOrder(t, "1|2")
	})
}

// A deadline that passes in the queue is a call that was never computed, and
// counted as one that left.
func TestDeadlinePassedInTheQueue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := heldFloor(t, batching.Config[task]{})
		calls := f.putDeadlines(t, 5, 0, 20, 6)
		pass(10 * time.Millisecond)
		for _, i := range []int{0, 3} {
			if err := <-calls[i].done; err != context.DeadlineExceeded {
				t.Errorf("task %d: %v, want the context's own error", i, err)
			}
		}
		f.release(t)
		f.wantOrder(t, "2 1")
		if s := f.Stats(); s.CancelledQueued != 2 || s.Expired != 0 || s.Items != 1+2 {
			t.Errorf("CancelledQueued %d, Expired %d, Items %d, want 2, 0, 3", s.CancelledQueued, s.Expired, s.Items)
		}
	})
}

// lateContext has a deadline, but its end is late to be told, as the timers of
// a busy process are.
type lateContext struct {
	context.Context
	deadline time.Time
}

func (c lateContext) Deadline() (time.Time, bool) { return c.deadline, true }

// The batcher does not need to be told, whether the item would be the first of
// a batch or another.
func TestDeadlinePassedButNotToldIsNotComputed(t *testing.T) {
	for level := range 2 {
		bubble(t, func(t *testing.T) {
			f := heldFloor(t, batching.Config[task]{MaxBatchSize: 3, Priority: taskLevel, Priorities: 2})
			late := lateContext{context.Background(), time.Now().Add(5 * time.Millisecond)}
			first := f.putWithin(task{id: 0, level: level}, late)
			other := f.putWithin(task{id: 1}, context.Background())
			second := f.putWithin(task{id: 2, level: level}, late)
			pass(6 * time.Millisecond)
			f.release(t)
			for _, c := range []*taskCall{first, second} {
				if err := <-c.done; !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("level %d: task %d: %v, want DeadlineExceeded", level, c.task.id, err)
				}
			}
			if err := <-other.done; err != nil {
				t.Error(err)
			}
			f.wantOrder(t, "1")
			if s := f.Stats(); s.CancelledQueued != 2 || s.Batches != 2 {
				t.Errorf("CancelledQueued %d, Batches %d, want 2, 2", s.CancelledQueued, s.Batches)
			}
		})
	}
}

// All that waits has run out of time: there is no batch, and the instance is
// there for the next.
func TestNothingLeftToRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := heldFloor(t, batching.Config[task]{})
		late := lateContext{context.Background(), time.Now().Add(5 * time.Millisecond)}
		call := f.putWithin(task{id: 0}, late)
		pass(6 * time.Millisecond)
		close(f.held)
		if err := <-call.done; err != context.DeadlineExceeded {
			t.Errorf("Do = %v, want DeadlineExceeded", err)
		}
		if err := <-f.put(task{id: 1}).done; err != nil {
			t.Error(err)
		}
		closeBatcher(t, f.Batcher)
		f.wantOrder(t, "1")
	})
}
