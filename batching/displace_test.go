package batching_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/ballast-go/ballast/batching"
)

// state tells what became of calls so far: w waits, f was turned away.
func state(t *testing.T, calls ...*taskCall) string {
	t.Helper()
	synctest.Wait()
	s := ""
	for _, c := range calls {
		select {
		case err := <-c.done:
			c.done <- err
			if !errors.Is(err, batching.ErrQueueFull) {
				t.Errorf("task %d: %v, want ErrQueueFull", c.task.id, err)
			}
			s += "f"
		default:
			s += "w"
		}
	}
	return s
}

// In a full queue the more urgent takes the place of the newest of the least
// urgent, whoever's it is.
func TestUrgentTakesThePlaceOfTheNewestLeastUrgent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := heldFloor(t, batching.Config[task]{MaxQueue: 4, Priority: taskLevel, Priorities: 3, Group: taskGroup})
		calls := f.putAll(
			task{level: 2, group: "a"}, task{level: 1}, task{level: 2}, task{level: 0},
			task{level: 2}, // no better claim than any
			task{level: 1}, // takes 2's place: the newest, though of another group
		)
		if got, want := state(t, calls...), "wwfwfw"; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		for i, level := range []int{
			0, // takes 0's
			1, // none
			0, // takes 5's
			0, // takes 1's
			0, // none: all are as urgent
		} {
			calls = append(calls, f.put(task{id: 6 + i, level: level}))
		}
		if got, want := state(t, calls...), "fffwffwfwwf"; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		s := f.Stats()
		checkSums(t, s)
		if s.Displaced != 4 || s.RejectedFull != 3 || s.Queued != 4 || s.Submitted != 1+8 {
			t.Errorf("Displaced %d, RejectedFull %d, Queued %d, Submitted %d, want 4, 3, 4, 9",
				s.Displaced, s.RejectedFull, s.Queued, s.Submitted)
		}
		f.release(t)
		f.wantOrder(t, "3 6 8 9")
	})
}

// A tenant that has less than its share of a full queue takes the place of the
// newest of one that has more, until it has its own, by weight; and no more.
func TestTenantTakesItsShareOfThePlaces(t *testing.T) {
	for _, c := range []struct {
		weights map[string]int
		want    map[string]int
	}{
		{nil, map[string]int{"a": 4, "b": 4, "c": 4}},
		{map[string]int{"a": 1, "b": 2, "c": 3}, map[string]int{"a": 2, "b": 4, "c": 6}},
		{map[string]int{"a": 9, "b": 2, "c": 1}, map[string]int{"a": 9, "b": 2, "c": 1}},
		{map[string]int{"a": 100, "b": -3, "c": 0}, map[string]int{"a": 12}}, // a hundredth of 12 is no place
	} {
		t.Run(fmt.Sprint(c.weights), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cfg := batching.Config[task]{MaxQueue: 12, Tenant: taskTenant}
				if c.weights != nil {
					cfg.TenantWeight = func(tenant string) int { return c.weights[tenant] }
				}
				f := heldFloor(t, cfg)
				var calls []*taskCall
				for _, tenant := range []string{"a", "b", "c", "b", "a", "c"} {
					for range 12 {
						calls = append(calls, f.put(task{id: len(calls), tenant: tenant}))
						if n := f.Stats().Queued; n > 12 {
							t.Errorf("%d are queued, want at most 12", n)
						}
					}
				}
				f.release(t)
				got := f.computed(taskTenant)
				for _, tenant := range []string{"a", "b", "c"} {
					if got[tenant] != c.want[tenant] {
						t.Errorf("places %v, want %v", got, c.want)
						break
					}
				}
				s := f.Stats()
				if want := uint64(12 - c.want["a"]); s.Displaced < want {
					t.Errorf("Displaced %d, want at least %d", s.Displaced, want)
				}
				for _, call := range calls[:c.want["a"]] { // the newest lose, so the oldest keep theirs
					if err := <-call.done; err != nil {
						t.Errorf("task %d of the oldest of its tenant: %v", call.task.id, err)
					}
				}
			})
		})
	}
}

// More urgent items of one tenant are no reason to give another a place.
func TestPlacesAreSharedWithinALevel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := heldFloor(t, batching.Config[task]{MaxQueue: 4, Tenant: taskTenant, Priority: taskLevel, Priorities: 2})
		calls := f.putAll(
			task{tenant: "a"}, task{tenant: "a"}, task{tenant: "a", level: 1}, task{tenant: "a", level: 1},
			task{tenant: "b", level: 1}, // takes 3's
			task{tenant: "b", level: 1}, // has its half of that level
			task{tenant: "b"},           // takes 4's, its own: the newest of that level
			task{tenant: "c", level: 1}, // alone it would have half a place
		)
		if got, want := state(t, calls...), "wwwfffwf"; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		f.release(t)
	})
}

// A member of DoMany may lose its place, too; the others have their outcomes.
func TestDoManyLosesAPlace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := heldFloor(t, batching.Config[task]{MaxQueue: 3, Priority: taskLevel, Priorities: 2})
		type results struct {
			out  []int
			errs []error
		}
		done := make(chan results)
		go func() {
			out, errs := f.DoMany(context.Background(), []task{{id: 5, level: 1}, {id: 6, level: 1}, {id: 7, level: 1}})
			done <- results{out, errs}
		}()
		synctest.Wait()
		// Several at once displace nobody, however urgent.
		if _, errs := f.DoMany(context.Background(), []task{{id: 8}, {id: 10}}); errs == nil || !errors.Is(errs[0], batching.ErrQueueFull) {
			t.Errorf("DoMany = %v", errs)
		}
		urgent := f.put(task{id: 9})
		close(f.held)
		r := <-done
		if r.out[0] != 5 || r.out[1] != 6 || r.errs[0] != nil || r.errs[1] != nil ||
			!errors.Is(r.errs[2], batching.ErrQueueFull) {
			t.Errorf("DoMany = %v, %v", r.out, r.errs)
		}
		if err := <-urgent.done; err != nil {
			t.Error(err)
		}
		closeBatcher(t, f.Batcher)
		checkSums(t, f.Stats())
	})
}

// Many producers of all kinds on a queue that is always full: the bound is exact
// at every moment, and every refusal is counted where it belongs.
func TestQueueFullStorm(t *testing.T) {
	const producers, each, maxQueue = 100, 200, 23
	b := newBatcher(t, func(_ context.Context, in []task, out []batching.Slot[int]) error {
		for range 3 {
			runtime.Gosched()
		}
		for i := range in {
			out[i].Set(in[i].id)
		}
		return nil
	}, batching.Config[task]{
		MaxBatchSize: 4, MaxQueue: maxQueue, Instances: 2, Tenant: taskTenant, Priority: taskLevel, Priorities: 3,
		Group: taskGroup, Cost: taskCost, MaxBatchCost: 8,
	})
	var answered, full, cancelled, dead atomic.Uint64
	var working, watching sync.WaitGroup
	finished := make(chan struct{})
	watching.Go(func() {
		for {
			s := b.Stats()
			checkSums(t, s)
			if s.Queued > maxQueue {
				t.Errorf("%d are queued, want at most %d", s.Queued, maxQueue)
			}
			select {
			case <-finished:
				return
			default:
				runtime.Gosched()
			}
		}
	})
	for p := range producers {
		working.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(p), 0))
			for i := range each {
				v := task{id: i, level: rng.IntN(4) - 1, tenant: fmt.Sprint(rng.IntN(1 + p)), group: fmt.Sprint(rng.IntN(3)), cost: rng.IntN(9)}
				ctx, cancel := context.WithCancel(t.Context())
				switch rng.IntN(8) {
				case 0:
					cancel()
				case 1:
					go cancel()
				}
				out, err := b.Do(ctx, v)
				switch {
				case err == nil && out == v.id:
					answered.Add(1)
				case errors.Is(err, batching.ErrQueueFull):
					full.Add(1)
				case errors.Is(err, context.Canceled):
					cancelled.Add(1)
				default:
					dead.Add(1)
					t.Errorf("Do(%+v) = %d, %v", v, out, err)
				}
				cancel()
			}
		})
	}
	working.Wait()
	close(finished)
	watching.Wait()
	closeBatcher(t, b)
	s := b.Stats()
	checkSums(t, s)
	uncounted := producers*each - s.Submitted - s.RejectedFull // over before they began
	if s.Answered != answered.Load() || s.RejectedFull+s.Displaced != full.Load() ||
		s.CancelledQueued+s.CancelledRunning+uncounted != cancelled.Load() || s.Queued != 0 {
		t.Errorf("callers: %d answered, %d full, %d cancelled; batcher: %+v", answered.Load(), full.Load(), cancelled.Load(), s)
	}
	if s.Displaced == 0 || s.RejectedFull == 0 || s.CancelledQueued == 0 {
		t.Errorf("the storm never came to: Displaced %d, RejectedFull %d, CancelledQueued %d", s.Displaced, s.RejectedFull, s.CancelledQueued)
	}
}
