package batchingprom_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ballast-go/ballast/batching"
	"github.com/ballast-go/ballast/batching/batchingprom"
)

func ExampleNewCollector() {
	squares, err := batching.New(func(_ context.Context, in []int, out []batching.Slot[int]) error {
		for i, n := range in {
			out[i].Set(n * n)
		}
		return nil
	}, batching.Config[int]{Name: "squares"})
	if err != nil {
		panic(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(batchingprom.NewCollector(squares))

	fmt.Println(squares.Do(context.Background(), 12))
	if err := squares.Close(context.Background()); err != nil {
		panic(err)
	}

	page := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(page.Body.String()) {
		if strings.HasPrefix(line, "batching_items_total") || strings.HasPrefix(line, "batching_batch_size") {
			fmt.Print(line)
		}
	}

	// Output:
	// 144 <nil>
	// batching_batch_size_bucket{batcher="squares",le="1"} 1
	// batching_batch_size_bucket{batcher="squares",le="2"} 1
	// batching_batch_size_bucket{batcher="squares",le="4"} 1
	// batching_batch_size_bucket{batcher="squares",le="8"} 1
	// batching_batch_size_bucket{batcher="squares",le="16"} 1
	// batching_batch_size_bucket{batcher="squares",le="32"} 1
	// batching_batch_size_bucket{batcher="squares",le="+Inf"} 1
	// batching_batch_size_sum{batcher="squares"} 1
	// batching_batch_size_count{batcher="squares"} 1
	// batching_items_total{batcher="squares"} 1
}

// A model may have several batchers, and other series have the model's name in
// a label of theirs: one more label makes them one dashboard.
func ExampleNewCollector_model() {
	b, err := batching.New(func(context.Context, []int, []batching.Slot[int]) error { return nil },
		batching.Config[int]{Name: "encoder"})
	if err != nil {
		panic(err)
	}
	registry := prometheus.NewRegistry()
	prometheus.WrapRegistererWith(prometheus.Labels{"model_id": "digits-large"}, registry).
		MustRegister(batchingprom.NewCollector(b))

	families, err := registry.Gather()
	if err != nil {
		panic(err)
	}
	for _, family := range families {
		if family.GetName() == "batching_queue_depth" {
			for _, label := range family.Metric[0].Label {
				fmt.Println(label.GetName(), "=", label.GetValue())
			}
		}
	}
	if err := b.Close(context.Background()); err != nil {
		panic(err)
	}

	// Output:
	// batcher = encoder
	// model_id = digits-large
}
