package tracinggrpc

import (
	"strings"

	"go.opentelemetry.io/otel/attribute"

	"github.com/ballast-go/ballast/internal/spans"
)

// name is what a span is called.
func name(fullMethod string) string {
	return spans.Clip(strings.TrimPrefix(fullMethod, "/"), spans.MaxRPC)
}

// describe returns what is known of a call by its method.
func describe(fullMethod string) []attribute.KeyValue {
	attrs := make([]attribute.KeyValue, 0, 8)
	attrs = append(attrs, attribute.String("rpc.system", "grpc"))
	service, method, ok := strings.Cut(name(fullMethod), "/")
	if !ok {
		return append(attrs, attribute.String("rpc.method", service))
	}
	return append(attrs, attribute.String("rpc.service", service), attribute.String("rpc.method", method))
}
