package tracingotlp_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/ballast-go/ballast/tracing"
	"github.com/ballast-go/ballast/tracing/tracingotlp"
)

func Example() {
	ctx := context.Background()
	p, err := tracingotlp.New(ctx, tracingotlp.Config{
		ServiceName:    "model",
		ServiceVersion: "1.4.0",
		Endpoint:       "http://otel-collector:4317",
		Protocol:       tracingotlp.GRPC,
		Ratio:          0.01,
		ResourceAttributes: []attribute.KeyValue{
			attribute.String("deployment.environment.name", "production"),
		},
		OnError: func(err error) { log.Print(err) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	handler := tracing.Middleware(p.TracerProvider(), tracing.MiddlewareConfig{})(mux)
	_ = handler // serve it, and drain the server before this:

	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if err := p.Close(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Printf("%+v\n", p.Stats().Dropped())
	// Output: 0
}

// All that is wrong is said at once.
func ExampleNew() {
	_, err := tracingotlp.New(context.Background(), tracingotlp.Config{
		ServiceName: "model",
		Endpoint:    "http://user:password@collector:4318",
		Ratio:       100, // percent?
		Headers:     map[string]string{"Authorization": "Bearer secret\n"},
	})
	fmt.Println(err)
	// Output:
	// tracingotlp: Config.Ratio is 100, more than 1
	// tracingotlp: Config.Endpoint has a user in it, which belongs into Headers
	// tracingotlp: Config.Headers: the value of "Authorization" has characters that are not printable ASCII
}

// Close before the servers have ended loses the spans of what they still serve.
func ExampleProvider_Close_incorrect() {
	ctx := context.Background()
	p, err := tracingotlp.New(ctx, tracingotlp.Config{ServiceName: "model", Endpoint: "http://127.0.0.1:1", Ratio: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, request := p.TracerProvider().Tracer("example").Start(ctx, "a request that is under way")

	fmt.Println(p.Close(ctx)) // too early
	request.End()
	fmt.Println(p.Stats().DroppedClosed, "span lost")
	// Output:
	// <nil>
	// 1 span lost
}

func ExampleLostError() {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	p, err := tracingotlp.New(ctx, tracingotlp.Config{ServiceName: "model", Endpoint: "http://127.0.0.1:1", Ratio: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, span := p.TracerProvider().Tracer("example").Start(ctx, "request")
	span.End()
	err = p.Close(ctx) // the collector is down
	if lost, ok := errors.AsType[*tracingotlp.LostError](err); ok {
		fmt.Println(lost.Spans, "span lost; deadline exceeded:", errors.Is(err, context.DeadlineExceeded))
	}
	// Output: 1 span lost; deadline exceeded: true
}
