package batching_test

import (
	"context"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/ballast-go/ballast/batching"
)

// Each instance has a thread of its own, and keeps it while other goroutines
// are about to take it.
func TestLockOSThread(t *testing.T) {
	const instances = 2
	var mu sync.Mutex
	threads := make(map[int]bool)
	var together sync.WaitGroup
	together.Add(instances)
	run := func(_ context.Context, in []int, out []batching.Slot[int]) error {
		thread := syscall.Gettid()
		if in[0] < 0 { // one for each instance: both are in run at the same time
			mu.Lock()
			threads[thread] = true
			mu.Unlock()
			together.Done()
			together.Wait()
		}
		for range 20 {
			runtime.Gosched()
			if now := syscall.Gettid(); now != thread {
				t.Errorf("a run began on thread %d and goes on on %d", thread, now)
				break
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if in[0] >= 0 && !threads[thread] {
			t.Errorf("a run on thread %d, which is no instance's", thread)
		}
		for i := range in {
			out[i].Set(in[i])
		}
		return nil
	}
	b := newBatcher(t, run, batching.Config[int]{Instances: instances, LockOSThread: true, MaxBatchSize: 1})
	var wg sync.WaitGroup
	for i := range instances {
		wg.Go(func() { _, _ = b.Do(t.Context(), -1-i) })
	}
	wg.Wait()
	if len(threads) != instances {
		t.Fatalf("%d instances on %d threads", instances, len(threads))
	}
	for i := range 50 { // callers that move about
		wg.Go(func() {
			for range 10 {
				if v, err := b.Do(t.Context(), i); v != i || err != nil {
					t.Errorf("Do(%d) = %d, %v", i, v, err)
				}
			}
		})
	}
	wg.Wait()
	closeBatcher(t, b)
}
