package tracing

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/ballast-go/ballast/internal/spans"
)

// BatchInfo is what a batch is told of: it is the same type as package batching's.
type BatchInfo = struct {
	Batcher  string    // the batcher's name; it may be empty
	Instance int       // where it runs, from 0
	Size     int       // items
	Padded   int       // items that the backend computes: Size, or the next that it is compiled for
	Cost     int64     // what the items cost together
	Group    string    // what they have in common; "" without groups
	Sealed   time.Time // when the items were taken out of the queue
	// Members are the contexts of the items' calls, and when these came.
	Members iter.Seq2[context.Context, time.Time]
}

// maxLinks is how many requests of a batch are recorded: the SDK keeps no more links.
const maxLinks = 128

// BatchHook returns a function for package batching's Config.OnBatch. For each batch
// in which at least one item's caller has a span that is recorded, it makes for these
// callers, or the first 128 of them,
//
//   - a span "batch", with links to their spans. It is a child of the first one's, so
//     that a parent-based sampler records it, and the parent of what run makes of its
//     context;
//   - in each of these callers' traces "batch.queue", from the call until the batch
//     began, and "batch.run", from there until run returned, with a link to the batch
//     and the call's share of it. They may end after the request's span.
//
// It costs other batches a look at each item's context. It panics if tp is nil.
func BatchHook(tp trace.TracerProvider) func(context.Context, BatchInfo) (context.Context, func(error)) {
	if tp == nil {
		panic("tracing: BatchHook of a nil TracerProvider")
	}
	tracer := tp.Tracer(spans.Scope)
	return func(ctx context.Context, info BatchInfo) (context.Context, func(error)) {
		members := gather(info.Members)
		if len(members) == 0 {
			return ctx, nil
		}
		b := &batch{tracer: tracer, info: info, members: members}
		ctx = b.start(ctx)
		return ctx, b.end
	}
}

// batch is one that is recorded.
type batch struct {
	tracer  trace.Tracer
	info    BatchInfo
	members []member
	span    trace.Span
	link    trace.SpanStartOption // to span
	started time.Time
}

// A member is a sampled call, with all the items that it has in the batch.
type member struct {
	ctx   context.Context
	span  trace.SpanContext
	since time.Time // of its first item
	items int
}

// gather finds the sampled members.
func gather(all iter.Seq2[context.Context, time.Time]) (members []member) {
	for ctx, since := range all {
		sc := trace.SpanContextFromContext(ctx)
		if !sc.IsSampled() || !sc.IsValid() {
			continue
		}
		i := slices.IndexFunc(members, func(m member) bool {
			return m.span.SpanID() == sc.SpanID() && m.span.TraceID() == sc.TraceID()
		})
		switch {
		case i >= 0:
			members[i].items++
			if since.Before(members[i].since) {
				members[i].since = since
			}
		case len(members) < maxLinks:
			members = append(members, member{ctx, sc, since, 1})
		}
	}
	return members
}

// start starts the batch's span. All else waits for the end, when the callers have
// their answers.
func (b *batch) start(ctx context.Context) context.Context {
	b.started = time.Now()
	links := make([]trace.Link, len(b.members))
	for i, m := range b.members {
		links[i] = trace.Link{SpanContext: m.span}
	}
	parent := trace.ContextWithSpanContext(ctx, b.members[0].span)
	attrs := []attribute.KeyValue{
		attribute.Int("ballast.batch.size", b.info.Size),
		attribute.Int("ballast.batch.instance", b.info.Instance),
		attribute.Int("ballast.batch.sampled", len(b.members)),
	}
	if b.info.Batcher != "" {
		attrs = append(attrs, attribute.String("ballast.batch.batcher", spans.Clip(b.info.Batcher, spans.MaxPath)))
	}
	if b.info.Padded != b.info.Size {
		attrs = append(attrs, attribute.Int("ballast.batch.padded_size", b.info.Padded))
	}
	if b.info.Cost != int64(b.info.Size) {
		attrs = append(attrs, attribute.Int64("ballast.batch.cost", b.info.Cost))
	}
	if b.info.Group != "" {
		attrs = append(attrs, attribute.String("ballast.batch.group", spans.Clip(b.info.Group, spans.MaxPath)))
	}
	ctx, b.span = b.tracer.Start(parent, "batch", trace.WithLinks(links...), trace.WithAttributes(attrs...), trace.WithTimestamp(b.started))
	b.link = trace.WithLinks(trace.Link{SpanContext: b.span.SpanContext()})
	return ctx
}

// end ends the batch's span, and tells each member's trace of its wait and its share.
func (b *batch) end(err error) {
	defer b.span.End()
	kind := ""
	if err != nil {
		kind = errorKind(err)
		b.span.SetAttributes(spans.Fail(b.span, nil, kind)...)
	}
	now := time.Now()
	took := now.Sub(b.started)
	for _, m := range b.members {
		b.child(m, "batch.queue", m.since, b.started, "")
		share := float64(m.items) / float64(b.info.Size)
		b.child(m, "batch.run", b.started, now, kind,
			attribute.Int("ballast.batch.size", b.info.Size),
			attribute.Int("ballast.batch.items", m.items),
			attribute.Float64("ballast.batch.share", share),
			attribute.Float64("ballast.batch.share_seconds", share*took.Seconds()))
	}
}

// child records a span of the past in m's trace.
func (b *batch) child(m member, name string, from, to time.Time, kind string, attrs ...attribute.KeyValue) {
	_, span := b.tracer.Start(m.ctx, name, trace.WithTimestamp(from), b.link, trace.WithAttributes(attrs...))
	if kind != "" {
		span.SetAttributes(spans.Fail(span, nil, kind)...)
	}
	span.End(trace.WithTimestamp(to))
}

// errorKind is the type of what a run failed with. Its text is the backend's, which
// may quote what it was given.
func errorKind(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "timeout"
	}
	return spans.Clip(fmt.Sprintf("%T", err), spans.MaxPath)
}
