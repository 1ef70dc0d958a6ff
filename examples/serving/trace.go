package main

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/ballast-go/ballast/tracing"
	"github.com/ballast-go/ballast/tracing/tracingotlp"
	"github.com/ballast-go/ballast/tracing/tracingotlp/tracingotlpprom"
)

// traces is where a request's spans go: nowhere without -trace-endpoint.
type traces struct {
	otlp     *tracingotlp.Provider // nil: nowhere
	provider trace.TracerProvider
	tracer   trace.Tracer
	log      *slog.Logger
}

func newTraces(cfg *config, log *slog.Logger, registry prometheus.Registerer) (*traces, error) {
	t := &traces{provider: noop.NewTracerProvider(), log: log}
	if cfg.traceEndpoint != "" {
		ratio := cfg.traceRatio
		if ratio == 0 {
			ratio = -1 // none; zero is the default
		}
		var err error
		t.otlp, err = tracingotlp.New(context.Background(), tracingotlp.Config{
			ServiceName: "serving",
			Endpoint:    cfg.traceEndpoint,
			Protocol:    cfg.traceProtocol,
			Ratio:       ratio,
			OnError:     func(err error) { log.Warn("spans were not delivered", "error", err) },
		})
		if err != nil {
			return nil, err
		}
		t.provider = t.otlp.TracerProvider()
		registry.MustRegister(tracingotlpprom.NewCollector("serving", t.otlp))
	}
	t.tracer = t.provider.Tracer("github.com/ballast-go/ballast/examples/serving")
	return t, nil
}

// middleware gives each request a span. What a client says of its own trace is
// believed of the proxies that are trusted, and linked otherwise.
func (t *traces) middleware(cfg *config) func(http.Handler) http.Handler {
	return tracing.Middleware(t.provider, tracing.MiddlewareConfig{Trust: tracing.TrustedPeers(cfg.trustedProxies...)})
}

// step begins the span of one step of a prediction. end ends it, with what failed,
// in a word of errorType's.
func (t *traces) step(ctx context.Context, name string) (_ context.Context, end func(failed string)) {
	ctx, span := t.tracer.Start(ctx, name)
	return ctx, func(failed string) {
		if failed != "" {
			span.SetAttributes(attribute.String("error.type", failed))
			span.SetStatus(codes.Error, failed)
		}
		span.End()
	}
}

// ofModel names the model in the request's span.
func ofModel(ctx context.Context, id string) {
	trace.SpanFromContext(ctx).SetAttributes(attribute.String("model_id", id))
}

// close sends off what is left. Spans that a collector does not take are no failure
// of the service, which ends well without them.
func (t *traces) close(ctx context.Context) {
	if t == nil || t.otlp == nil {
		return
	}
	if err := t.otlp.Close(ctx); err != nil {
		t.log.Warn("spans were not delivered", "error", err)
	}
}
