package training

import "sync"

// parallel calls f on consecutive parts of 0 to n, each in its own goroutine, and waits. What f computes for an index
// must not depend on the part that it fell into.
func parallel(workers, n int, f func(lo, hi int)) {
	if workers > n {
		workers = n
	}
	if workers <= 1 {
		f(0, n)
		return
	}
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() { f(n*i/workers, n*(i+1)/workers) })
	}
	wg.Wait()
}
