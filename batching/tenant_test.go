package batching_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/ballast-go/ballast/batching"
)

// near fails unless got is within a part of want.
func near(t *testing.T, what string, got, want int, part float64) {
	t.Helper()
	if d := float64(got - want); d > part*float64(want) || d < -part*float64(want) {
		t.Errorf("%s: %d, want about %d", what, got, want)
	}
}

// One tenant has a hundred times the callers of another. With the queue full
// all the time both have the same part of the backend.
func TestFloodingTenantLeavesOthersTheirShare(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFloor(t, batching.Config[task]{MaxBatchSize: 4, MaxQueue: 40, Tenant: taskTenant})
		ctx, cancel := context.WithCancel(t.Context())
		f.keep(ctx, 500, task{tenant: "flood"})
		f.forBatches(20)
		f.forget()
		f.keep(ctx, 5, task{tenant: "small"})
		f.forBatches(200)
		got := f.computed(taskTenant)
		near(t, "flood", got["flood"], 400, 0.05)
		near(t, "small", got["small"], 400, 0.05)
		cancel()
		f.end(t)
	})
}

// Shares are by weight, counted in cost, not in items.
func TestTenantSharesByWeightAndCost(t *testing.T) {
	weights := map[string]int{"a": 1, "b": 2, "c": 5, "none": -7}
	bubble(t, func(t *testing.T) {
		f := newFloor(t, batching.Config[task]{
			MaxBatchSize: 8, MaxQueue: 400, Cost: taskCost, MaxBatchCost: 80,
			Tenant: taskTenant, TenantWeight: func(tenant string) int { return weights[tenant] },
		})
		ctx, cancel := context.WithCancel(t.Context())
		f.keep(ctx, 40, task{tenant: "a", cost: 1})
		f.keep(ctx, 40, task{tenant: "b", cost: 30})
		f.keep(ctx, 80, task{tenant: "c", cost: 7})
		f.keep(ctx, 40, task{tenant: "none", cost: 3}) // below 1 counts as 1
		f.forBatches(100)
		f.forget()
		f.forBatches(3000)
		got := f.computed(taskTenant)
		for tenant, weight := range map[string]int{"b": 2, "c": 5, "none": 1} {
			near(t, tenant, got[tenant], weight*got["a"], 0.05)
		}
		cancel()
		f.end(t)
	})
}

// Tenants with a single caller each always have a claim, but no better one
// than a tenant that waits all the time: they must not come back without
// having paid for what they just got.
func TestManySmallTenantsDoNotStarveALargeOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFloor(t, batching.Config[task]{MaxBatchSize: 4, Tenant: taskTenant})
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 19 {
			f.keep(ctx, 1, task{tenant: fmt.Sprint("small", i)})
		}
		f.keep(ctx, 100, task{tenant: "large"})
		f.forBatches(1000)
		got := f.computed(taskTenant)
		if len(got) != 20 {
			t.Errorf("%d tenants were served, want 20: %v", len(got), got)
		}
		// The small ones are away while they run, so that the large one may have
		// a little more.
		for tenant, n := range got {
			near(t, tenant, n, 4000/20, 0.3)
		}
		cancel()
		f.end(t)
	})
}

// The same with cost: who asks for one large item at a time pays for it.
func TestTenantWithOneCallerPaysForItsCost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFloor(t, batching.Config[task]{MaxBatchSize: 32, Tenant: taskTenant, Cost: taskCost})
		ctx, cancel := context.WithCancel(t.Context())
		f.keep(ctx, 1, task{tenant: "heavy", cost: 1000})
		f.keep(ctx, 200, task{tenant: "light", cost: 1})
		f.forBatches(2000)
		got := f.computed(taskTenant)
		near(t, "heavy", got["heavy"], got["light"], 0.1) // away while it runs
		cancel()
		f.end(t)
	})
}

// After a tenant was away, neither it nor who stayed has anything to catch up.
func TestReturningTenantNeitherOwesNorHasSaved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFloor(t, batching.Config[task]{MaxBatchSize: 4, Tenant: taskTenant})
		all, stop := context.WithCancel(t.Context())
		f.keep(all, 50, task{tenant: "stays"})
		for round := range 3 {
			here, leave := context.WithCancel(all)
			f.keep(here, 50, task{tenant: "comes and goes"})
			f.forget()
			f.forBatches(50)
			got := f.computed(taskTenant)
			near(t, fmt.Sprint("stays, round ", round), got["stays"], 100, 0.1)
			near(t, fmt.Sprint("comes and goes, round ", round), got["comes and goes"], 100, 0.1)
			leave()
			f.forBatches(200)
		}
		stop()
		f.end(t)
	})
}

// Tenants that have had the same go by deadline, then arrival.
func TestTenantsWithTheSameShareGoInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := heldFloor(t, batching.Config[task]{MaxBatchSize: 3, Tenant: taskTenant})
		f.putAll(
			task{tenant: "a"}, task{tenant: "b"}, task{tenant: "c"}, task{tenant: "d"}, task{tenant: "e"},
			task{tenant: "a"}, task{tenant: "b"}, task{tenant: "c"}, task{tenant: "d"}, task{tenant: "e"},
		)
		f.release(t)
		f.wantOrder(t, "0 1 2|3 4 5|6 7 8|9")
	})
}

func TestDeadlineBreaksATieBetweenTenants(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := heldFloor(t, batching.Config[task]{MaxBatchSize: 2, Tenant: taskTenant})
		for i, tenant := range []string{"a", "b", "c", "d"} {
			ctx, cancel := within(90 - 10*i)
			defer cancel()
			f.putWithin(task{id: i, tenant: tenant}, ctx)
		}
		// Changes who is first of "a" after it has its place among the tenants.
		ctx, cancel := within(10)
		defer cancel()
		f.putWithin(task{id: 4, tenant: "a"}, ctx)
		f.release(t)
		f.wantOrder(t, "4 3|2 1|0")
	})
}

// What a tenant could not have at a level that was not served it does not have
// in advance of those who come later.
func TestWaitingAtALowLevelSavesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFloor(t, batching.Config[task]{
			MaxBatchSize: 4, Tenant: taskTenant, Priority: taskLevel, Priorities: 2,
		})
		all, stop := context.WithCancel(t.Context())
		urgent, end := context.WithCancel(all)
		f.keep(urgent, 50, task{tenant: "urgent"})
		f.keep(all, 50, task{tenant: "early", level: 1})
		f.forBatches(400) // less than it takes to age
		end()
		f.forBatches(1)
		f.keep(all, 50, task{tenant: "late", level: 1})
		f.forget()
		f.forBatches(100)
		got := f.computed(taskTenant)
		near(t, "early", got["early"], 200, 0.1)
		near(t, "late", got["late"], 200, 0.1)
		stop()
		f.end(t)
	})
}
