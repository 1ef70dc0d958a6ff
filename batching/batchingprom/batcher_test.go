package batchingprom_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/batching"
)

// A real batcher with something of everything in its books: what the callers
// saw is what Prometheus sees.
func TestBatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := batching.New(func(_ context.Context, in []int, out []batching.Slot[int]) error {
			<-time.After(time.Second)
			for i, n := range in {
				switch n {
				case 0:
					out[i].Fail(errors.New("zero"))
				case -1:
					panic("negative")
				default:
					out[i].Set(n)
				}
			}
			return nil
		}, batching.Config[int]{Name: "numbers", MaxBatchSize: 4, MaxQueue: 6, Sizes: []int{2, 4}, Instances: 2})
		if err != nil {
			t.Fatal(err)
		}
		r := registryOf(t, b)

		outcomes := make(map[string]float64)
		var mu sync.Mutex
		var wg sync.WaitGroup
		do := func(ctx context.Context, n int) {
			_, err := b.Do(ctx, n)
			outcome := "failed"
			switch {
			case err == nil:
				outcome = "answered"
			case errors.Is(err, batching.ErrQueueFull):
				outcome = "queue_full"
			case errors.Is(err, batching.ErrClosed):
				outcome = "closed"
			case errors.Is(err, context.Canceled):
				outcome = "cancelled_queued"
			}
			mu.Lock()
			defer mu.Unlock()
			outcomes[outcome]++
		}
		start := func(ctx context.Context, n int) {
			wg.Go(func() { do(ctx, n) })
			synctest.Wait()
		}
		start(t.Context(), 1)
		start(t.Context(), -1)
		leaving, leave := context.WithCancel(t.Context())
		for _, n := range []int{2, 3, 4, 5, 0} {
			start(t.Context(), n)
		}
		start(leaving, 6)
		start(t.Context(), 7) // one too many
		leave()
		synctest.Wait()

		<-time.After(500 * time.Millisecond)
		during := samples(t, page(t, r))
		for name, want := range map[string]float64{
			`batching_queue_depth{batcher="numbers"}`:                             5,
			`batching_running_items{batcher="numbers"}`:                           2,
			`batching_instance_busy{batcher="numbers",index="0"}`:                 1,
			`batching_instance_busy_seconds_total{batcher="numbers",index="1"}`:   0.5,
			`batching_run_duration_seconds_count{batcher="numbers",max_size="1"}`: 0,
		} {
			if during[name] != want {
				t.Errorf("%s is %v, want %v", name, during[name], want)
			}
		}
		wg.Wait()
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		do(t.Context(), 8)

		text := page(t, r)
		after := samples(t, text)
		for _, outcome := range []string{"answered", "failed", "queue_full", "closed", "cancelled_queued"} {
			name := `batching_calls_total{batcher="numbers",outcome="` + outcome + `"}`
			if after[name] != outcomes[outcome] || outcomes[outcome] == 0 {
				t.Errorf("%s is %v, the callers saw %v", name, after[name], outcomes[outcome])
			}
		}
		s := b.Stats()
		for name, want := range map[string]float64{
			`batching_items_total{batcher="numbers"}`:                            7,
			`batching_padding_items_total{batcher="numbers"}`:                    3, // three batches of one in a size of two
			`batching_run_panics_total{batcher="numbers"}`:                       1,
			`batching_batch_size_sum{batcher="numbers"}`:                         7,
			`batching_batch_size_count{batcher="numbers"}`:                       float64(s.Batches),
			`batching_queue_wait_seconds_count{batcher="numbers"}`:               7,
			`batching_queue_wait_seconds_sum{batcher="numbers"}`:                 s.QueueWait.Sum,
			`batching_queue_depth{batcher="numbers"}`:                            0,
			`batching_queue_limit{batcher="numbers"}`:                            6,
			`batching_saturation_ratio{batcher="numbers"}`:                       s.Saturation,
			`batching_instance_busy_seconds_total{batcher="numbers",index="0"}`:  s.Instances[0].BusyTime.Seconds(),
			`batching_instance_model_fixed_seconds{batcher="numbers",index="0"}`: s.Instances[0].Model.Fixed.Seconds(),
		} {
			if after[name] != want {
				t.Errorf("%s is %v, want %v", name, after[name], want)
			}
		}
		wellFormed(t, text)
	})
}

// wellFormed checks that each histogram rises from bucket to bucket, and up to
// its count.
func wellFormed(t *testing.T, page string) {
	t.Helper()
	values := samples(t, page)
	last, histogram, infinities := 0.0, "", 0
	for line := range strings.Lines(page) {
		series, _, ok := strings.Cut(line, `le="`)
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if series != histogram {
			histogram, last = series, 0
		}
		n := values[name+"}"]
		if n < last {
			t.Errorf("%s falls from %v to %v", name, last, n)
		}
		last = n
		if strings.Contains(line, `le="+Inf"`) {
			infinities++
			of := strings.TrimSuffix(strings.Replace(series, "_bucket{", "_count{", 1), ",") + "}"
			if count, ok := values[of]; !ok || count != n {
				t.Errorf("%s is %v, and %s is %v", name, n, of, count)
			}
		}
	}
	if infinities < 4 {
		t.Errorf("the page has %d histograms", infinities)
	}
}

// The figures in the package comment.
func TestNumberOfSeries(t *testing.T) {
	run := func(context.Context, []int, []batching.Slot[int]) error { return nil }
	for _, tt := range []struct {
		cfg  batching.Config[int]
		want int
	}{
		{batching.Config[int]{}, 216},
		{batching.Config[int]{MaxBatchSize: 1}, 54 + 26 + 6},
		{batching.Config[int]{MaxBatchSize: 100, Instances: 3}, 54 + 8*26 + 3*6},
	} {
		b, err := batching.New(run, tt.cfg)
		if err != nil {
			t.Fatal(err)
		}
		r := registryOf(t, b)
		before := len(samples(t, page(t, r)))
		b.Do(t.Context(), 1)
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if after := len(samples(t, page(t, r))); before != tt.want || after != tt.want {
			t.Errorf("%d series, then %d, want %d", before, after, tt.want)
		}
	}
}
