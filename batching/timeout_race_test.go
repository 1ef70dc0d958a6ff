package batching_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/ballast-go/ballast/batching"
)

// Hung runs go on writing to their inputs and answering their slots while
// later batches run. Under -race this shows that neither slice is used again,
// and the values show that a late answer reaches nobody.
func TestHungRunsSlicesAreNeverReused(t *testing.T) {
	const instances, rounds = 4, 50
	bubble(t, func(t *testing.T) {
		stopped := make(chan struct{})
		b := newBatcher(t, func(_ context.Context, in []int, out []batching.Slot[int]) error {
			if in[0] >= 0 {
				pass(time.Microsecond)
				for i, v := range in {
					out[i].Set(2 * v)
				}
				return nil
			}
			pass(2 * timeout)
			for mine := in[0]; ; mine-- {
				for i := range in {
					in[i] = mine // scratch space, the backend thinks
					out[i].Gone()
					out[i].Set(mine)
					out[i].Fail(errItem)
				}
				select {
				case <-stopped:
					return nil
				case <-time.After(3 * time.Microsecond):
				}
				for i := range in {
					if in[i] != mine {
						t.Errorf("a hung run's input turned from %d into %d", mine, in[i])
					}
				}
			}
		}, batching.Config[int]{Instances: instances, MaxBatchSize: 2, BatchTimeout: timeout})
		traffic := func() {
			var calls sync.WaitGroup
			for caller := range 8 {
				calls.Go(func() {
					for i := range rounds {
						n := caller*rounds + i
						if v, err := b.Do(t.Context(), n); err != nil || v != 2*n {
							t.Errorf("Do(%d) = %d, %v", n, v, err)
						}
					}
				})
			}
			calls.Wait()
		}
		traffic() // so that every instance has slices that it could use again
		var hung sync.WaitGroup
		for i := range instances { // some of them share a batch
			hung.Go(func() {
				if _, err := b.Do(t.Context(), -1-1000*i); err != batching.ErrBatchTimeout {
					t.Errorf("Do = %v, want ErrBatchTimeout", err)
				}
			})
		}
		hung.Wait()
		pass(2 * timeout)
		traffic()
		close(stopped)
		closeBatcher(t, b)
		if s := b.Stats(); s.Timeouts == 0 || s.TimedOut != instances || s.Answered != 2*8*rounds || s.Hung != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}
