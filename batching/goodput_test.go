package batching_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ballast-go/ballast/batching"
)

// A full batch of device takes 20 ms. Callers give up ten times that later.
const patience = 10 * deviceBatch * deviceItem

// goodput has calls come at the given gaps, whatever becomes of those before,
// and returns how many were answered in time, in units of what device can
// compute in full batches meanwhile. The first fifth does not count.
func goodput(t *testing.T, b *batching.Batcher[int, int], instances, calls int, gap func() time.Duration) float64 {
	t.Helper()
	var good atomic.Int64
	var wg sync.WaitGroup
	var since, last time.Time
	for i := range calls {
		pass(gap())
		counts := i >= calls/5
		last = time.Now()
		if counts && since.IsZero() {
			since = last
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if v, err := b.Do(ctx, i); err == nil && v == 2*i && counts {
				good.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(good.Load()) * float64(deviceItem) / float64(last.Sub(since)) / float64(instances)
}

// The reason for TargetLatency: at twice its capacity a batcher with it goes
// on answering as much as it can compute. The one without works on what is too
// late when it is done.
func TestGoodputAtTwiceTheCapacity(t *testing.T) {
	arrivals := map[string]func(rng *rand.Rand, mean time.Duration) func() time.Duration{
		"regular": func(_ *rand.Rand, mean time.Duration) func() time.Duration {
			// A bit more, or answers and deadlines come at the same moments.
			return func() time.Duration { return mean + 137 }
		},
		"Poisson": func(rng *rand.Rand, mean time.Duration) func() time.Duration {
			return func() time.Duration { return time.Duration(rng.ExpFloat64() * float64(mean)) }
		},
		"bursts of ten": func(_ *rand.Rand, mean time.Duration) func() time.Duration {
			n := 0
			return func() time.Duration {
				if n++; n%10 != 0 {
					return 0
				}
				return 10 * mean
			}
		},
	}
	for name, arrival := range arrivals {
		for _, instances := range []int{1, 3} {
			t.Run(name, func(t *testing.T) {
				measure := func(load float64, target time.Duration) (share float64, s batching.Stats) {
					bubble(t, func(t *testing.T) {
						var d device
						b := newBatcher(t, d.run, batching.Config[int]{
							MaxBatchSize: deviceBatch, TargetLatency: target, Instances: instances,
							MaxQueue: 10_000, // as long as a queue without shedding would get
						})
						rng := rand.New(rand.NewPCG(1, 2))
						mean := time.Duration(float64(deviceItem) / load / float64(instances))
						share = goodput(t, b, instances, 3000*instances, arrival(rng, mean))
						s = b.Stats()
						closeBatcher(t, b)
					})
					return share, s
				}
				for _, load := range []float64{2} {
					share, s := measure(load, patience)
					if share < 0.95 {
						t.Errorf("at %v times the capacity of %d instances: %.3f of it in time, want 0.95", load, instances, share)
					}
					if vain := s.Expired + s.CancelledQueued + s.CancelledRunning; vain > s.Items/8 {
						t.Errorf("%d items were accepted in vain, %d computed", vain, s.Items)
					}
				}
				if share, s := measure(2, 0); share > 0.5 {
					t.Errorf("without TargetLatency %.3f in time: this test tests nothing; %+v", share, s)
				}
				if share, s := measure(0.5, patience); share < 0.49 || s.Shed+s.Expired != 0 {
					t.Errorf("at half the capacity: %.3f in time, %d shed, %d expired", share, s.Shed, s.Expired)
				}
			})
		}
	}
}
