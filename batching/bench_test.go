package batching_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ballast-go/ballast/batching"
)

// BenchmarkDo is the batcher's own cost: a closed loop of callers with
// cancelable contexts around a backend that does nothing.
func BenchmarkDo(b *testing.B) {
	for _, callers := range []int{1, 8, 1000} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			batcher, err := batching.New(echo, batching.Config[int]{})
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			b.ReportAllocs()
			var calls atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range callers {
				wg.Go(func() {
					for calls.Add(1) <= int64(b.N) {
						if _, err := batcher.Do(ctx, 1); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			s := batcher.Stats()
			b.ReportMetric(float64(s.Items)/float64(s.Batches), "items/batch")
			if err := batcher.Close(ctx); err != nil {
				b.Error(err)
			}
		})
	}
}

// echo answers each item with itself.
func echo(_ context.Context, in []int, out []batching.Slot[int]) error {
	for i, v := range in {
		out[i].Set(v)
	}
	return nil
}
