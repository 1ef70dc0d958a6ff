package tracing

import (
	"context"

	"go.opentelemetry.io/otel/trace"
)

// IDs returns the ids of the span that ctx belongs to, which may be a child of the
// request's, recorded or not; ok is false if there is none. It has the type of
// package logging's Config.TraceContext.
func IDs(ctx context.Context) (traceID [16]byte, spanID [8]byte, ok bool) {
	sc := trace.SpanContextFromContext(ctx)
	return sc.TraceID(), sc.SpanID(), sc.IsValid()
}
