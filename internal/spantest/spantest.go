// Package spantest is a trace.TracerProvider for tests that keeps what is recorded.
// It samples as the SDK's ParentBased does, so that the root module's tests, and with
// them its users' go.sum, need no SDK.
package spantest

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
)

// A Provider records what its sampler says. Its zero value records every root and
// whatever has a sampled parent.
type Provider struct {
	embedded.TracerProvider

	Never bool // sample no root

	mu    sync.Mutex
	last  uint64
	spans []*Span
}

// Tracer implements trace.TracerProvider.
func (p *Provider) Tracer(name string, _ ...trace.TracerOption) trace.Tracer {
	return &tracer{p: p, name: name}
}

// Spans returns the recorded spans in the order of their starts.
func (p *Provider) Spans() []*Span {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*Span(nil), p.spans...)
}

// Ended returns those of Spans that have ended.
func (p *Provider) Ended() (ended []*Span) {
	for _, s := range p.Spans() {
		if s.Data().Ends > 0 {
			ended = append(ended, s)
		}
	}
	return ended
}

type tracer struct {
	embedded.Tracer
	p    *Provider
	name string
}

func (t *tracer) Start(ctx context.Context, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	if ctx == nil {
		ctx = context.Background()
	}
	cfg := trace.NewSpanStartConfig(opts...)
	parent := trace.SpanContextFromContext(ctx)
	if cfg.NewRoot() {
		parent = trace.SpanContext{}
	}
	p := t.p
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	sc := trace.SpanContextConfig{TraceID: parent.TraceID(), TraceState: parent.TraceState()}
	binary.BigEndian.PutUint64(sc.SpanID[:], p.last)
	sampled := parent.IsSampled()
	if !parent.IsValid() {
		binary.BigEndian.PutUint64(sc.TraceID[8:], p.last)
		sampled = !p.Never
	}
	if !sampled {
		return withContext(ctx, trace.NewSpanContext(sc))
	}
	sc.TraceFlags = trace.FlagsSampled
	s := &Span{provider: p, context: trace.NewSpanContext(sc), data: Data{
		Scope: t.name, Name: name, Kind: cfg.SpanKind(), Parent: parent, Links: cfg.Links(), Start: cfg.Timestamp(),
	}}
	if s.data.Start.IsZero() {
		s.data.Start = time.Now()
	}
	s.SetAttributes(cfg.Attributes()...)
	p.spans = append(p.spans, s)
	return trace.ContextWithSpan(ctx, s), s
}

// withContext is for a span that has ids and is not recorded.
func withContext(ctx context.Context, sc trace.SpanContext) (context.Context, trace.Span) {
	ctx = trace.ContextWithSpanContext(ctx, sc)
	return ctx, trace.SpanFromContext(ctx)
}

// Data is what a span has recorded.
type Data struct {
	Scope, Name string
	Kind        trace.SpanKind
	Parent      trace.SpanContext
	Links       []trace.Link
	Start, End  time.Time
	Ends        int // calls of End
	Attrs       map[attribute.Key]attribute.Value
	Events      []Event
	Status      codes.Code
	Description string
}

// An Event is one of a span's.
type Event struct {
	Name  string
	Time  time.Time
	Attrs map[attribute.Key]attribute.Value
}

// A Span is one that is recorded.
type Span struct {
	embedded.Span
	provider *Provider
	context  trace.SpanContext

	mu   sync.Mutex
	data Data
}

// Data returns what is recorded so far.
func (s *Span) Data() Data {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data
}

// Attr returns an attribute's value as text, or "".
func (s *Span) Attr(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.data.Attrs[attribute.Key(key)]
	if !ok {
		return ""
	}
	return v.Emit()
}

// String is all that is recorded, for those who look for what must not be.
func (s *Span) String() string {
	d := s.Data()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %v %q", d.Name, d.Kind, d.Status, d.Description)
	for k, v := range d.Attrs {
		fmt.Fprintf(&b, " %s=%q", k, v.Emit())
	}
	for _, e := range d.Events {
		fmt.Fprintf(&b, " [%s", e.Name)
		for k, v := range e.Attrs {
			fmt.Fprintf(&b, " %s=%q", k, v.Emit())
		}
		b.WriteByte(']')
	}
	for _, l := range d.Links {
		fmt.Fprintf(&b, " ->%s", l.SpanContext.SpanID())
	}
	return b.String()
}

// set runs f unless the span has ended.
func (s *Span) set(f func(*Data)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.data.Ends == 0 {
		f(&s.data)
	}
}

// End implements trace.Span.
func (s *Span) End(opts ...trace.SpanEndOption) {
	cfg := trace.NewSpanEndConfig(opts...)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.data.Ends++; s.data.Ends > 1 {
		return
	}
	if s.data.End = cfg.Timestamp(); s.data.End.IsZero() {
		s.data.End = time.Now()
	}
}

// AddEvent implements trace.Span.
func (s *Span) AddEvent(name string, opts ...trace.EventOption) {
	cfg := trace.NewEventConfig(opts...)
	s.set(func(d *Data) { d.Events = append(d.Events, Event{name, cfg.Timestamp(), table(nil, cfg.Attributes())}) })
}

// AddLink implements trace.Span.
func (s *Span) AddLink(l trace.Link) { s.set(func(d *Data) { d.Links = append(d.Links, l) }) }

// IsRecording implements trace.Span.
func (s *Span) IsRecording() bool { return s.Data().Ends == 0 }

// RecordError implements trace.Span.
func (s *Span) RecordError(err error, _ ...trace.EventOption) { s.AddEvent("error " + err.Error()) }

// SpanContext implements trace.Span.
func (s *Span) SpanContext() trace.SpanContext { return s.context }

// SetStatus implements trace.Span.
func (s *Span) SetStatus(code codes.Code, description string) {
	s.set(func(d *Data) { d.Status, d.Description = code, description })
}

// SetName implements trace.Span.
func (s *Span) SetName(name string) { s.set(func(d *Data) { d.Name = name }) }

// SetAttributes implements trace.Span.
func (s *Span) SetAttributes(kv ...attribute.KeyValue) {
	s.set(func(d *Data) { d.Attrs = table(d.Attrs, kv) })
}

// TracerProvider implements trace.Span.
func (s *Span) TracerProvider() trace.TracerProvider { return s.provider }

func table(m map[attribute.Key]attribute.Value, kv []attribute.KeyValue) map[attribute.Key]attribute.Value {
	if m == nil {
		m = make(map[attribute.Key]attribute.Value, len(kv))
	}
	for _, a := range kv {
		m[a.Key] = a.Value
	}
	return m
}
