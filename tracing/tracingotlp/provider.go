package tracingotlp

import (
	"context"
	"fmt"
	"os"

	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// userAgent names this exporter to the collector.
const userAgent = "ballast-tracingotlp"

// A Provider makes spans and exports those that are sampled. It is safe for
// concurrent use.
type Provider struct {
	tracers *sdktrace.TracerProvider
	sampler *sampler
	queue   *queue
}

// New returns a provider, whose goroutine runs until [Provider.Close]. It does
// not wait for the collector, which need not be there yet. The error joins
// everything that is wrong with cfg and the environment, or is ctx's, if it has
// ended already.
func New(ctx context.Context, cfg Config) (*Provider, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	s, err := cfg.complete(os.Getenv)
	if err != nil {
		return nil, err
	}
	from, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(s.resource...))
	if err != nil {
		return nil, fmt.Errorf("tracingotlp: Config.ResourceAttributes: %w", err)
	}
	var to sender = newHTTPSender(s)
	if s.Protocol == GRPC {
		if to, err = newGRPCSender(s); err != nil {
			return nil, fmt.Errorf("tracingotlp: Config.Endpoint: %w", err)
		}
	}
	return newProvider(s, from, to), nil
}

func newProvider(s settings, from *resource.Resource, to sender) *Provider {
	p := &Provider{sampler: newSampler(s.Ratio, s.parent), queue: newQueue(s, to)}
	p.sampler.off.Store(s.disabled)
	p.tracers = sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(p.queue),
		sdktrace.WithSampler(p.sampler),
		sdktrace.WithIDGenerator(ids{}),
		sdktrace.WithResource(from),
		// So that a span that is never ended, or that an attacker fills, has a
		// bound, too. 128 is what batch spans need for links.
		sdktrace.WithRawSpanLimits(sdktrace.SpanLimits{
			AttributeValueLengthLimit:   s.MaxAttributeLength,
			AttributeCountLimit:         128,
			EventCountLimit:             128,
			LinkCountLimit:              128,
			AttributePerEventCountLimit: 32,
			AttributePerLinkCountLimit:  32,
		}),
	)
	return p
}

// TracerProvider returns what packages that trace take. It is the SDK's
// *sdktrace.TracerProvider, and not made the process's global one.
func (p *Provider) TracerProvider() trace.TracerProvider { return p.tracers }

// Close exports what is left and ends the provider: for as long as ctx and
// Config.CloseTimeout allow. Spans that end later are dropped and counted, and
// new ones are not sampled. The error is a *[LostError] that says how many
// spans are lost, or nil if none is. Further calls wait for the first, and
// return the same.
func (p *Provider) Close(ctx context.Context) error {
	p.sampler.off.Store(true)
	return p.queue.Shutdown(ctx)
}

// Stats takes a snapshot.
func (p *Provider) Stats() Stats { return p.queue.stats() }
