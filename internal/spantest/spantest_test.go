package spantest

import (
	"errors"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// It records roots unless told not to, and what has a sampled parent.
func TestProvider(t *testing.T) {
	p := new(Provider)
	ctx, root := p.Tracer("test").Start(t.Context(), "root", trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attribute.Int("a", 1)))
	p.Never = true
	_, child := p.Tracer("test").Start(ctx, "child")
	_, other := p.Tracer("test").Start(t.Context(), "other")
	if !root.IsRecording() || !child.IsRecording() || other.IsRecording() || !other.SpanContext().IsValid() {
		t.Error("sampled otherwise")
	}
	root.SetName("renamed")
	root.SetAttributes(attribute.String("b", "2"))
	root.SetStatus(codes.Error, "why")
	root.AddEvent("event", trace.WithAttributes(attribute.Bool("c", true)))
	root.RecordError(errors.New("wrong"))
	root.AddLink(trace.Link{SpanContext: other.SpanContext()})
	if root.TracerProvider() != p {
		t.Error("of another provider")
	}
	child.End()
	if len(p.Spans()) != 2 || len(p.Ended()) != 1 {
		t.Errorf("%d spans, %d ended", len(p.Spans()), len(p.Ended()))
	}
	root.End()
	root.End()
	got := p.Spans()[0].Data()
	if got.Name != "renamed" || got.Scope != "test" || got.Kind != trace.SpanKindServer || got.Ends != 2 || got.Status != codes.Error ||
		got.Attrs["a"].AsInt64() != 1 || got.Attrs["b"].AsString() != "2" || len(got.Links) != 1 || len(got.Events) == 0 || got.Events[0].Name != "event" {
		t.Errorf("%+v", got)
	}
	if a, b, none := p.Spans()[0].Attr("a"), p.Spans()[0].Attr("b"), p.Spans()[0].Attr("none"); a != "1" || b != "2" || none != "" {
		t.Errorf("attributes %q, %q, %q", a, b, none)
	}
	if text := p.Spans()[0].String(); !strings.Contains(text, "renamed") {
		t.Errorf("it prints as %s", text)
	}
	if parent := p.Spans()[1].Data().Parent; parent.SpanID() != root.SpanContext().SpanID() {
		t.Errorf("the child's parent is %v", parent)
	}
}
