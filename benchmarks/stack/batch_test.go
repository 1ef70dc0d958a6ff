package stackbench

import (
	"context"
	"sync"
	"testing"

	"github.com/ballast-go/ballast/batching"
	"github.com/ballast-go/ballast/internal/spantest"
	"github.com/ballast-go/ballast/tracing"
)

// With a real batcher, each request's trace has its wait and its share, and what run
// does is the batch's.
func TestBatchHookInABatcher(t *testing.T) {
	p := &spantest.Provider{}
	b, err := batching.New(func(ctx context.Context, in []int, out []batching.Slot[int]) error {
		_, span := p.Tracer("").Start(ctx, "inference")
		defer span.End()
		for i, v := range in {
			out[i].Set(v)
		}
		return nil
	}, batching.Config[int]{OnBatch: tracing.BatchHook(p), MaxBatchSize: 8})
	if err != nil {
		t.Fatal(err)
	}
	const calls = 50
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			ctx, span := p.Tracer("").Start(t.Context(), "request")
			defer span.End()
			if v, err := b.Do(ctx, i); v != i || err != nil {
				t.Error(v, err)
			}
		})
	}
	wg.Wait()
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended := p.Ended()
	links := 0
	for _, batch := range named(ended, "batch") {
		links += len(batch.Data().Links)
	}
	if links != calls || len(named(ended, "batch.queue")) != calls || len(named(ended, "batch.run")) != calls || len(ended) != len(p.Spans()) {
		t.Errorf("%d links, of %d spans %d ended", links, len(p.Spans()), len(ended))
	}
	for _, s := range named(ended, "inference") {
		found := false
		for _, batch := range named(ended, "batch") {
			found = found || batch.SpanContext().SpanID() == s.Data().Parent.SpanID()
		}
		if !found {
			t.Errorf("%v is no batch's", s)
		}
	}
}

func named(spans []*spantest.Span, name string) (found []*spantest.Span) {
	for _, s := range spans {
		if s.Data().Name == name {
			found = append(found, s)
		}
	}
	return found
}
