package batching_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
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

// Names come from clients: 100,000 of tenants and groups, of a kilobyte each,
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
	n := 0
	flood := func(calls int) {
		tasks := make([]task, 100) // a third finds no place, or displaces
		for range calls / len(tasks) {
			for i := range tasks {
				n++
				tasks[i] = task{level: n % 3, tenant: fmt.Sprint(n, long), group: fmt.Sprint(long, n)}
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				b.DoMany(ctx, tasks)
			}()
			b.Do(ctx, tasks[1])
			if n%1000 == 0 {
				cancel()
			}
			<-done
			cancel()
		}
	}
	flood(1000) // makes what a batcher keeps
	before := heap()
	flood(100_000)
	if grown := heap() - before; grown > 4<<20 { // of 200 MB
		t.Errorf("the heap grew by %d bytes", grown)
	}
	checkSums(t, b.Stats())
	closeBatcher(t, b)
}
