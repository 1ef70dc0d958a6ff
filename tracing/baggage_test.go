package tracing_test

import (
	"context"

	"go.opentelemetry.io/otel/baggage"
)

func baggageOf(ctx context.Context) string { return baggage.FromContext(ctx).String() }
