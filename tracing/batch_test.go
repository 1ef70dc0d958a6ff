package tracing_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/ballast-go/ballast/internal/spantest"
	"github.com/ballast-go/ballast/tracing"
)

// call is one of a batch's, with or without a span.
type call struct {
	ctx   context.Context
	since time.Time
}

func info(calls []call) tracing.BatchInfo {
	return tracing.BatchInfo{
		Batcher: "model", Instance: 1, Size: len(calls), Padded: len(calls) + 2, Cost: int64(len(calls)), Sealed: time.Now(),
		Members: func(yield func(context.Context, time.Time) bool) {
			for _, c := range calls {
				if !yield(c.ctx, c.since) {
					return
				}
			}
		},
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

func TestBatchHook(t *testing.T) {
	p, unsampled := &spantest.Provider{}, &spantest.Provider{Never: true}
	base := time.Now().Add(-time.Minute)
	var calls []call
	for i := range 4 {
		ctx, _ := p.Tracer("").Start(t.Context(), fmt.Sprint("request ", i))
		calls = append(calls, call{ctx, base.Add(time.Duration(i) * time.Second)})
		ctx, _ = unsampled.Tracer("").Start(t.Context(), "unsampled")
		calls = append(calls, call{ctx, base}, call{t.Context(), base})
	}
	calls = append(calls, call{calls[0].ctx, base.Add(-time.Second)}) // another item of the first
	ctx, after := tracing.BatchHook(p)(t.Context(), info(calls))
	if _, ok := ctx.Deadline(); ok || trace.SpanFromContext(ctx) == nil {
		t.Error("another context")
	}
	after(nil)

	batch := named(p.Ended(), "batch")[0]
	d := batch.Data()
	first := p.Spans()[0].SpanContext()
	if !d.Parent.Equal(first) || len(d.Links) != 4 || trace.SpanContextFromContext(ctx).SpanID() != batch.SpanContext().SpanID() {
		t.Errorf("%+v", d)
	}
	for i, link := range d.Links {
		if !link.SpanContext.Equal(p.Spans()[i].SpanContext()) {
			t.Errorf("link %d is %v", i, link)
		}
	}
	want(t, batch, "ballast.batch.size", "13", "ballast.batch.padded_size", "15", "ballast.batch.instance", "1",
		"ballast.batch.batcher", "model", "ballast.batch.sampled", "4", "ballast.batch.group", "")
	queues, runs := named(p.Ended(), "batch.queue"), named(p.Ended(), "batch.run")
	if len(queues) != 4 || len(runs) != 4 {
		t.Fatalf("%v", p.Ended())
	}
	for i := range 4 {
		request := p.Spans()[i].SpanContext()
		q, r := queues[i].Data(), runs[i].Data()
		for _, s := range []spantest.Data{q, r} {
			if !s.Parent.Equal(request) || len(s.Links) != 1 || !s.Links[0].SpanContext.Equal(batch.SpanContext()) {
				t.Errorf("%+v", s)
			}
		}
		since, share := base.Add(time.Duration(i)*time.Second), 1.0/13
		if i == 0 {
			since, share = base.Add(-time.Second), 2.0/13
		}
		if !q.Start.Equal(since) || !q.End.Equal(d.Start) || !r.Start.Equal(d.Start) || r.End.Before(r.Start) {
			t.Errorf("%v to %v, %v to %v", q.Start, q.End, r.Start, r.End)
		}
		if got := r.Attrs["ballast.batch.share"].AsFloat64(); got != share {
			t.Errorf("a share of %v, want %v", got, share)
		}
	}
}

// A batch that nobody traces has no span.
func TestBatchHookUnsampled(t *testing.T) {
	p := &spantest.Provider{Never: true}
	ctx, _ := p.Tracer("").Start(t.Context(), "unsampled")
	in := info([]call{{ctx, time.Now()}, {t.Context(), time.Now()}})
	hook := tracing.BatchHook(p)
	if ctx, after := hook(t.Context(), in); ctx != t.Context() || after != nil {
		t.Errorf("%v", ctx)
	}
	if len(p.Spans()) != 0 {
		t.Errorf("%v", p.Spans())
	}
	if n := testing.AllocsPerRun(100, func() { hook(t.Context(), in) }); n > 3 && !raceEnabled {
		t.Errorf("%v allocations", n)
	}
}

func TestBatchHookCap(t *testing.T) {
	p := &spantest.Provider{}
	var calls []call
	for range 300 {
		ctx, _ := p.Tracer("").Start(t.Context(), "request")
		calls = append(calls, call{ctx, time.Now()})
	}
	_, after := tracing.BatchHook(p)(t.Context(), info(calls))
	after(nil)
	if n := len(named(p.Ended(), "batch")[0].Data().Links); n != 128 {
		t.Errorf("%d links", n)
	}
	if n := len(named(p.Ended(), "batch.run")); n != 128 {
		t.Errorf("%d shares", n)
	}
}

func TestBatchHookErrors(t *testing.T) {
	for _, tt := range []struct {
		err  error
		kind string
	}{
		{errors.New("a prompt"), "*errors.errorString"},
		{fmt.Errorf("a prompt: %w", context.DeadlineExceeded), "timeout"},
	} {
		p := &spantest.Provider{}
		ctx, _ := p.Tracer("").Start(t.Context(), "request")
		_, after := tracing.BatchHook(p)(t.Context(), info([]call{{ctx, time.Now()}}))
		after(tt.err)
		for _, name := range []string{"batch", "batch.run"} {
			s := named(p.Ended(), name)[0]
			want(t, s, "error.type", tt.kind)
			if s.Data().Status != codes.Error || strings.Contains(s.String(), "prompt") {
				t.Errorf("%v", s)
			}
		}
		want(t, named(p.Ended(), "batch.queue")[0], "error.type", "")
	}
}
