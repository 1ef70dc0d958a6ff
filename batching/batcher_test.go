package batching_test

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/batching"
)

func TestDoGivesEachCallerItsOwnAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		g.open()
		b := newBatcher(t, g.run, batching.Config[int]{MaxBatchSize: 7, Instances: 3})
		var wg sync.WaitGroup
		for i := range 500 {
			wg.Go(func() {
				if got, err := b.Do(t.Context(), i); err != nil || got != 2*i {
					t.Errorf("Do(%d) = %d, %v, want %d", i, got, err, 2*i)
				}
			})
		}
		wg.Wait()
		closeBatcher(t, b)
	})
}

func TestIdleInstanceRunsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBatcher(t, echo, batching.Config[int]{})
		begin := time.Now()
		start(b, 1).wants(t, 1)
		if d := time.Since(begin); d != 0 {
			t.Errorf("the only item waited %v", d)
		}
		closeBatcher(t, b)
	})
}

func TestBatchFormsWhileBusyOldestFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		b := newBatcher(t, g.run, batching.Config[int]{MaxBatchSize: 4})
		calls := startAll(b, 0, 1, 2, 3, 4, 5, 6)
		g.open()
		for i, c := range calls {
			c.wants(t, 2*i)
		}
		want := [][]int{{0}, {1, 2, 3, 4}, {5, 6}}
		if got := g.seen(); !reflect.DeepEqual(got, want) {
			t.Errorf("batches %v, want %v", got, want)
		}
		closeBatcher(t, b)
	})
}

// Many callers become runnable together; yielding before the seal is what
// gathers them. Time stands still in a bubble, so only scheduling can.
func TestYieldGathersClosedLoopCallers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBatcher(t, echo, batching.Config[int]{})
		var wg sync.WaitGroup
		for range 256 {
			wg.Go(func() {
				for range 50 {
					if _, err := b.Do(t.Context(), 1); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		s := b.Stats()
		if avg := float64(s.Items) / float64(s.Batches); avg < 8 {
			t.Errorf("average batch %.1f under a closed loop of 256 callers, want at least 8 of 32", avg)
		}
		closeBatcher(t, b)
	})
}

func TestQueueFull(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		b := newBatcher(t, g.run, batching.Config[int]{MaxQueue: 2})
		calls := startAll(b, 0, 1, 2)
		start(b, 3).wants(t, batching.ErrQueueFull)

		calls[1].cancel() // makes room
		calls[1].wants(t, context.Canceled)
		last := start(b, 4)
		start(b, 5).wants(t, batching.ErrQueueFull)

		g.open()
		calls[0].wants(t, 0)
		calls[2].wants(t, 4)
		last.wants(t, 8)
		if s := b.Stats(); s.RejectedFull != 2 || s.Submitted != 4 {
			t.Errorf("RejectedFull %d, Submitted %d, want 2, 4", s.RejectedFull, s.Submitted)
		}
		closeBatcher(t, b)
	})
}

func TestInstancesRunAtTheSameTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		b := newBatcher(t, g.run, batching.Config[int]{Instances: 3})
		calls := startAll(b, 0, 1, 2, 3, 4)
		if s := b.Stats(); s.Busy != 3 || s.Queued != 2 || s.Running != 3 {
			t.Errorf("Busy %d, Queued %d, Running %d, want 3, 2, 3", s.Busy, s.Queued, s.Running)
		}
		g.next <- struct{}{}
		synctest.Wait()
		want := [][]int{{0}, {1}, {2}, {3, 4}}
		if got := g.seen(); !reflect.DeepEqual(got, want) {
			t.Errorf("batches %v, want %v", got, want)
		}
		g.open()
		for i, c := range calls {
			c.wants(t, 2*i)
		}
		closeBatcher(t, b)
	})
}

// What does not fit into one batch must not wait for that batch's instance, or
// for another arrival.
func TestIdleInstanceTakesWhatDidNotFit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		b := newBatcher(t, g.run, batching.Config[int]{MaxBatchSize: 2, Instances: 64})
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				if _, err := b.Do(t.Context(), i); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if s := b.Stats(); s.Queued != 0 || s.Running != 64 {
			t.Errorf("Queued %d, Running %d, want 0, 64", s.Queued, s.Running)
		}
		g.open()
		wg.Wait()
		closeBatcher(t, b)
	})
}

func TestTwoBatchersDoNotDisturbEachOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		stuck, free := newGate(), newGate()
		free.open()
		b1 := newBatcher(t, stuck.run, batching.Config[int]{MaxQueue: 1})
		b2 := newBatcher(t, free.run, batching.Config[int]{})
		calls := startAll(b1, 1, 2)
		start(b2, 3).wants(t, 6)
		b2.Abort()
		stuck.open()
		calls[0].wants(t, 2)
		calls[1].wants(t, 4)
		closeBatcher(t, b1)
		closeBatcher(t, b2)
	})
}

func TestRunContextIsNoCallers(t *testing.T) {
	type key struct{}
	bubble(t, func(t *testing.T) {
		var kept context.Context
		b := newBatcher(t, func(ctx context.Context, _ []int, out []batching.Slot[int]) error {
			kept = ctx
			if _, ok := ctx.Deadline(); ok || ctx.Value(key{}) != nil || ctx.Err() != nil {
				t.Error("run's context has a caller's deadline, value or end")
			}
			out[0].Set(1)
			return nil
		}, batching.Config[int]{})
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, 1), time.Hour)
		defer cancel()
		if _, err := b.Do(ctx, 1); err != nil {
			t.Error(err)
		}
		closeBatcher(t, b)
		if kept.Err() == nil {
			t.Error("run's context goes on after run returned")
		}
	})
}

func TestReentrantDo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		other := newBatcher(t, echo, batching.Config[int]{})
		var b *batching.Batcher[int, int]
		b = newBatcher(t, func(ctx context.Context, in []int, out []batching.Slot[int]) error {
			if _, err := b.Do(ctx, 1); !errors.Is(err, batching.ErrReentrant) {
				t.Errorf("Do(run's context) = %v, want ErrReentrant", err)
			}
			child, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			if _, err := b.Do(child, 1); !errors.Is(err, batching.ErrReentrant) {
				t.Errorf("Do(child of run's context) = %v, want ErrReentrant", err)
			}
			if child.Err() != nil {
				t.Error("ErrReentrant did not come at once")
			}
			if err := b.Close(ctx); !errors.Is(err, batching.ErrReentrant) {
				t.Errorf("Close(run's context) = %v, want ErrReentrant", err)
			}
			v, err := other.Do(ctx, in[0]) // a second stage is fine
			if err != nil {
				t.Errorf("Do of another batcher = %v", err)
			}
			out[0].Set(v)
			return nil
		}, batching.Config[int]{})
		start(b, 5).wants(t, 5)
		start(b, 5).wants(t, batching.ErrClosed) // Close took effect
		closeBatcher(t, b)
		closeBatcher(t, other)
	})
}

func TestDoInsideRunWithForeignContextEndsWithIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var b *batching.Batcher[int, int]
		b = newBatcher(t, func(_ context.Context, in []int, out []batching.Slot[int]) error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_, err := b.Do(ctx, 1)
			return err
		}, batching.Config[int]{})
		start(b, 5).wants(t, context.DeadlineExceeded)
		closeBatcher(t, b)
	})
}
