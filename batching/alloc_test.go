//go:build !race

package batching_test

// The race detector makes sync.Pool drop things at random, and so allocations
// uncountable.

import (
	"context"
	"runtime"
	"sync"
	"testing"

	"github.com/ballast-go/ballast/batching"
)

// What one batch costs: itself and its slots.
const allocsPerBatch = 2

func TestAllocsAlone(t *testing.T) {
	b := newBatcher(t, echo, batching.Config[int]{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := testing.AllocsPerRun(2000, func() {
		if _, err := b.Do(ctx, 1); err != nil {
			t.Error(err)
		}
	})
	if got > allocsPerBatch {
		t.Errorf("%v allocations for a batch of one, want at most %d", got, allocsPerBatch)
	}
	closeBatcher(t, b)
}

// An item costs nothing; only batches do.
func TestAllocsPerItemAreNone(t *testing.T) {
	const callers, each = 256, 200
	b := newBatcher(t, echo, batching.Config[int]{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	round := func() {
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for range each {
					if _, err := b.Do(ctx, 1); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	}
	round() // fills the pools
	var before, after runtime.MemStats
	batches := b.Stats().Batches
	runtime.ReadMemStats(&before)
	round()
	runtime.ReadMemStats(&after)
	batches = b.Stats().Batches - batches
	closeBatcher(t, b)

	// Goroutines of the round, and waiters that a collection took from the pool.
	const slack = 8 * callers
	if mallocs := after.Mallocs - before.Mallocs; mallocs > allocsPerBatch*batches+slack {
		t.Errorf("%d allocations for %d items in %d batches", mallocs, callers*each, batches)
	}
}
