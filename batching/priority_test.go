package batching_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/batching"
)

func TestUrgentLevelsGoFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := heldFloor(t, batching.Config[task]{MaxBatchSize: 4, Priority: taskLevel, Priorities: 3})
		f.putAll(
			task{level: 2}, task{level: 1}, task{level: 0}, task{level: 2}, task{level: 0},
			task{level: 1}, task{level: -5}, task{level: 99}, // count as 0 and 2
		)
		f.release(t)
		f.wantOrder(t, "2 4 6 1|5 0 3 7")
	})
}

// A level that is not the most urgent gets, under a flood of what is, one place
// in eight and no more, however many items fit into a batch and wherever in one
// a flood began.
func TestAgingGivesOnePlaceInEight(t *testing.T) {
	for _, size := range []int{1, 2, 3, 4, 7, 8, 16, 32} {
		for first := range 8 {
			t.Run(fmt.Sprintf("size %d, %d before", size, first), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					f := newFloor(t, batching.Config[task]{MaxBatchSize: size, MaxQueue: 2000, Priority: taskLevel, Priorities: 2})
					for range first { // so many places are given before
						<-f.put(task{id: -1}).done
					}
					f.hold()
					f.load(512, task{id: 1000})
					f.load(512, task{id: 2000, level: 1})
					pass(time.Second) // all of level 1 is overdue
					f.release(t)
					f.wantAged(t, 512)
				})
			})
		}
	}
}

// load puts n tasks at once.
func (f *floor) load(n int, v task) {
	tasks := make([]task, n)
	for i := range tasks {
		tasks[i] = v
		tasks[i].id += i
	}
	pass(time.Microsecond)
	f.callers.Go(func() { f.DoMany(context.Background(), tasks) })
	synctest.Wait()
}

// wantAged checks that of any eight places at most one went to level 1 while
// something of level 0 waited, and a ninth never passes without.
func (f *floor) wantAged(t *testing.T, urgent int) {
	t.Helper()
	var places []string
	aged, last := 0, -1
	for _, batch := range f.batches {
		for _, v := range batch {
			if urgent == 0 {
				break
			}
			places = append(places, fmt.Sprint(v.level))
			if v.level == 0 {
				urgent--
				continue
			}
			at := len(places) - 1
			if last >= 0 && at-last < 8 || at-last > 8 {
				t.Errorf("place %d is aged, and the one before was %d: %s", at, last, strings.Join(places, ""))
				return
			}
			aged, last = aged+1, at
		}
	}
	if n := len(places); aged < n/8-1 || aged > n/8+1 {
		t.Errorf("%d of %d places aged, want an eighth: %s", aged, n, strings.Join(places, ""))
	}
}

// The same between groups: a less urgent one gets a batch in eight, although
// nothing more urgent waits in it.
func TestAgingReachesOtherGroups(t *testing.T) {
	for _, size := range []int{1, 2, 8} {
		t.Run(fmt.Sprint("size ", size), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := heldFloor(t, batching.Config[task]{
					MaxBatchSize: size, MaxQueue: 2000, Priority: taskLevel, Priorities: 3, Group: taskGroup,
				})
				f.load(64*size, task{group: "urgent", level: 1})
				f.load(64*size, task{group: "other", level: 2})
				pass(time.Second)
				f.release(t)
				other := 0
				for _, batch := range f.batches[:64] {
					if batch[0].level == 2 {
						other++
					}
				}
				if other != 8 {
					t.Errorf("%d of 64 batches were of the less urgent group, want 8", other)
				}
			})
		})
	}
}

// Nobody is overdue before half a second, or half of TargetLatency.
func TestNothingAgesBeforeItsTime(t *testing.T) {
	for target, patience := range map[time.Duration]time.Duration{
		0: 500 * time.Millisecond, 100 * time.Millisecond: 50 * time.Millisecond,
	} {
		bubble(t, func(t *testing.T) {
			f := heldFloor(t, batching.Config[task]{
				MaxBatchSize: 16, Priority: taskLevel, Priorities: 2, TargetLatency: target,
			})
			f.load(1, task{id: 2, level: 1})
			pass(patience - time.Microsecond)
			f.load(15, task{id: 10}) // a microsecond later
			f.release(t)
			f.wantOrder(t, "10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 2")

			f = heldFloor(t, batching.Config[task]{
				MaxBatchSize: 16, Priority: taskLevel, Priorities: 2, TargetLatency: target,
			})
			f.load(1, task{id: 2, level: 1})
			pass(patience)
			f.load(15, task{id: 10})
			f.release(t)
			f.wantOrder(t, "10 11 12 13 14 15 2 16 17 18 19 20 21 22 23 24")
		})
	}
}

// Strict levels and all, the least urgent of many is not starved, and its wait
// is bounded by how much of it there is.
func TestLeastUrgentIsServedUnderPermanentFlood(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFloor(t, batching.Config[task]{MaxBatchSize: 8, Priority: taskLevel, Priorities: 64})
		ctx, cancel := context.WithCancel(t.Context())
		f.keep(ctx, 100, task{})
		f.keep(ctx, 20, task{level: 1})
		last := f.put(task{level: 63})
		pass(500 * time.Millisecond)
		if !last.pending() {
			t.Error("the least urgent aged before its time")
		}
		f.forBatches(22) // twenty have waited longer; those that come after have not
		if last.pending() {
			t.Error("the least urgent still waits")
		}
		cancel()
		f.end(t)
	})
}
