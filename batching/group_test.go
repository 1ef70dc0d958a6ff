package batching_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ballast-go/ballast/batching"
)

// Ten groups, interleaved, under load: no batch mixes, all get their part.
func TestGroupsDoNotMixNorStarve(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFloor(t, batching.Config[task]{MaxBatchSize: 8, Group: taskGroup, Instances: 2})
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 10 {
			// As many callers as make one batch each, but for one with many more.
			callers := 8
			if i == 0 {
				callers = 200
			}
			f.keep(ctx, callers, task{group: fmt.Sprint(i)})
		}
		f.forBatches(600)
		cancel()
		f.end(t)
		for _, batch := range f.batches {
			for _, v := range batch {
				if v.group != batch[0].group {
					t.Fatalf("a batch has groups %s and %s", batch[0].group, v.group)
				}
			}
		}
		// By arrival all 272 take turns.
		got := f.computed(taskGroup)
		for i := 1; i < 10; i++ {
			near(t, fmt.Sprint("group ", i), got[fmt.Sprint(i)], int(f.Stats().Items)*8/272, 0.15)
		}
		if s := f.Stats(); s.BatchSize.Sum/float64(s.Batches) < 7 {
			t.Errorf("average batch %.1f of 8", s.BatchSize.Sum/float64(s.Batches))
		}
	})
}

// What decides, in this order: group, level, tenant's share, deadline, arrival.
func TestPrecedence(t *testing.T) {
	for _, c := range []struct {
		name  string
		tasks []task // those with leave have a deadline in so many milliseconds
		want  string
	}{
		{"the group of the most urgent, all of it, before the second most urgent", []task{
			{group: "a", level: 1}, {group: "b", level: 2}, {group: "b", level: 0}, {group: "a", level: 0},
		}, "2 1|3 0"},
		{"level before share", []task{
			{tenant: "x"}, {tenant: "x"}, {tenant: "y", level: 1}, {tenant: "x"},
		}, "0 1 3 2"},
		{"share before deadline", []task{
			{tenant: "x", leave: 10}, {tenant: "x", leave: 11}, {tenant: "y", leave: 900},
		}, "0 2 1"},
		{"share before deadline, between groups", []task{
			{group: "a", tenant: "x", leave: 10}, {group: "b", tenant: "x", leave: 11}, {group: "c", tenant: "y", leave: 900},
		}, "0|2|1"},
		{"level before share, between groups", []task{
			{group: "a", tenant: "y", level: 1}, {group: "b", tenant: "x"}, {group: "c", tenant: "x"},
		}, "1|2|0"},
		{"deadline before arrival, between groups", []task{
			{group: "a", leave: 30}, {group: "b", leave: 20}, {group: "c"}, {group: "d", leave: 10},
		}, "3|1|0|2"},
		{"arrival, between groups", []task{
			{group: "d"}, {group: "a"}, {group: "c"}, {group: "b"}, {group: "a"}, {group: "d"},
		}, "0 5|1 4|2|3"},
		{"cost counts for the share only, not between one tenant's", []task{
			{group: "a", cost: 100}, {group: "b", cost: 1},
		}, "0|1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cfg := batching.Config[task]{Group: taskGroup, Priority: taskLevel, Priorities: 3, Cost: taskCost}
				for _, v := range c.tasks {
					if v.tenant != "" {
						cfg.Tenant = taskTenant
					}
				}
				f := heldFloor(t, cfg)
				for i, v := range c.tasks {
					v.id = i
					ctx := context.Background()
					if v.leave > 0 {
						var cancel context.CancelFunc
						ctx, cancel = within(int(v.leave))
						defer cancel()
					}
					f.putWithin(v, ctx)
				}
				f.release(t)
				f.wantOrder(t, c.want)
			})
		})
	}
}

// A batch that ran because one group was first takes nothing from others, and
// leaves none of its own.
func TestGroupLargerThanABatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := heldFloor(t, batching.Config[task]{MaxBatchSize: 3, Group: taskGroup})
		begin := time.Now()
		f.putAll(
			task{group: "a"}, task{group: "b"}, task{group: "a"}, task{group: "a"}, task{group: "a"},
			task{group: "b"}, task{group: "a"},
		)
		f.release(t)
		f.wantOrder(t, "0 2 3|1 5|4 6")
		if d := time.Since(begin).Truncate(time.Millisecond); d != 3*time.Millisecond {
			t.Errorf("three batches took %v", d)
		}
	})
}
