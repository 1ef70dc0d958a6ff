package tracingotlp

import (
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// What a span, and each attribute, event and link of it, takes in memory beside
// its text. Each is more than what it takes in a request.
const (
	spanOverhead      = 512
	attributeOverhead = 96
	eventOverhead     = 128
	linkOverhead      = 160
)

// sizeOf reckons what a span takes: never less than in a request, and about
// what it takes in memory.
func sizeOf(s sdktrace.ReadOnlySpan) int {
	sc := s.SpanContext()
	n := spanOverhead + len(s.Name()) + len(s.Status().Description) + attributesSize(s.Attributes())
	if sc.TraceState().Len() > 0 {
		n += len(sc.TraceState().String())
	}
	for _, e := range s.Events() {
		n += eventOverhead + len(e.Name) + attributesSize(e.Attributes)
	}
	for _, l := range s.Links() {
		n += linkOverhead + attributesSize(l.Attributes)
		if l.SpanContext.TraceState().Len() > 0 {
			n += len(l.SpanContext.TraceState().String())
		}
	}
	scope := s.InstrumentationScope()
	return n + len(scope.Name) + len(scope.Version) + len(scope.SchemaURL)
}

func attributesSize(attrs []attribute.KeyValue) int {
	n := len(attrs) * attributeOverhead
	for i := range attrs {
		n += len(attrs[i].Key) + valueSize(attrs[i].Value)
	}
	return n
}

func valueSize(v attribute.Value) int {
	switch v.Type() {
	case attribute.BOOL, attribute.INT64, attribute.FLOAT64:
		return 0
	case attribute.STRING:
		return len(v.AsString())
	case attribute.STRINGSLICE:
		n := 0
		for _, s := range v.AsStringSlice() {
			n += 24 + len(s)
		}
		return n
	default:
		// Other slices, and kinds that newer SDKs have: their JSON has at least
		// a character for every 12 bytes of the request.
		return 12 * len(v.Emit())
	}
}
