package batching_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ballast-go/ballast/batching"
)

// heap returns what is in use after a collection. The first one of two only
// moves what a sync.Pool holds aside.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Names come from clients: 30,000 of tenants and groups, of a kilobyte each,
// leave nothing behind, whether their calls are answered, refused, displaced or
// cancelled.
func TestNamesLeaveNothingBehind(t *testing.T) {
	b := newBatcher(t, func(_ context.Context, in []task, out []batching.Slot[int]) error {
		return nil
	}, batching.Config[task]{
		MaxQueue: 64, Tenant: taskTenant, Group: taskGroup, Priority: taskLevel, Priorities: 3,
		TenantWeight: func(tenant string) int { return len(tenant) % 3 },
	})
	long := strings.Repeat("x", 1000)
	var names atomic.Int64
	name := func() task {
		n := names.Add(1)
		return task{level: int(n % 3), tenant: fmt.Sprint(n, long), group: fmt.Sprint(long, n)}
	}
	flood := func(until int64) {
		var callers sync.WaitGroup
		for range 8 { // that have more than there are places
			callers.Go(func() {
				tasks := make([]task, 12)
				for n := int64(0); n < until; n = names.Load() {
					for i := range tasks {
						tasks[i] = name()
					}
					ctx, cancel := context.WithCancel(t.Context())
					if n%16 == 0 {
						go cancel()
					}
					b.DoMany(ctx, tasks)
					b.Do(ctx, name())
					cancel()
				}
			})
		}
		for range 72 { // that fill it up
			callers.Go(func() {
				for names.Load() < until {
					b.Do(t.Context(), name())
				}
			})
		}
		callers.Wait()
	}
	flood(1000) // makes what a batcher keeps
	before := heap()
	flood(30_000)
	if grown := heap() - before; grown > 4<<20 { // of 60 MB
		t.Errorf("the heap grew by %d bytes", grown)
	}
	s := b.Stats()
	checkSums(t, s)
	if s.Failed == 0 || s.RejectedFull == 0 || s.Displaced == 0 || s.CancelledQueued == 0 {
		t.Errorf("it never came to one of the ways: %+v", s)
	}
	closeBatcher(t, b)
}
