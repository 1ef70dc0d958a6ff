package tracingotlp

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// randomParent is a context as a span may be started in: of a root, or below a
// parent that is remote or not, sampled or not, with state or not.
func randomParent(r *rand.Rand) context.Context {
	if r.IntN(3) == 0 {
		return context.Background()
	}
	cfg := trace.SpanContextConfig{
		SpanID:     trace.SpanID{byte(r.IntN(2))}, // sometimes none, which is no parent
		TraceFlags: trace.TraceFlags(r.IntN(4)),
		Remote:     r.IntN(2) == 0,
	}
	binary.BigEndian.PutUint64(cfg.TraceID[8:], r.Uint64())
	if r.IntN(2) == 0 {
		cfg.TraceState, _ = trace.ParseTraceState("vendor=x,other=y")
	}
	return trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(cfg))
}

// Every decision is the one that the SDK's samplers make.
func TestSamplerIsTheSDKs(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		ratio := r.Float64()
		if r.IntN(4) == 0 {
			ratio = float64(r.IntN(2))
		}
		based := r.IntN(2) == 0
		want := sdktrace.TraceIDRatioBased(ratio)
		if based {
			want = sdktrace.ParentBased(want)
		}
		p := sdktrace.SamplingParameters{ParentContext: randomParent(r), Name: "x"}
		binary.BigEndian.PutUint64(p.TraceID[8:], r.Uint64())
		got, expected := newSampler(ratio, based).ShouldSample(p), want.ShouldSample(p)
		if got.Decision != expected.Decision || got.Tracestate.String() != expected.Tracestate.String() {
			t.Fatalf("ratio %v, based on the parent %v, %v, parent %+v: got %v %q, want %v %q", ratio, based, p.TraceID,
				trace.SpanContextFromContext(p.ParentContext), got.Decision, got.Tracestate, expected.Decision, expected.Tracestate)
		}
	}
}

func TestSamplerOff(t *testing.T) {
	s := newSampler(1, true)
	s.off.Store(true)
	sampled := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: 1})
	for _, ctx := range []context.Context{t.Context(), trace.ContextWithSpanContext(t.Context(), sampled)} {
		if d := s.ShouldSample(sdktrace.SamplingParameters{ParentContext: ctx}).Decision; d != sdktrace.Drop {
			t.Errorf("decision %v, want it dropped", d)
		}
	}
}

// The share that is sampled is the ratio: 100,000 traces at 1 % are within 6
// standard deviations of 1000.
func TestRatio(t *testing.T) {
	s, sampled := newSampler(0.01, true), 0
	for range 100_000 {
		id, _ := ids{}.NewIDs(t.Context())
		if s.ShouldSample(sdktrace.SamplingParameters{ParentContext: t.Context(), TraceID: id}).Decision == sdktrace.RecordAndSample {
			sampled++
		}
	}
	if sampled < 810 || sampled > 1190 {
		t.Errorf("%d of 100000 are sampled", sampled)
	}
}

func TestIDs(t *testing.T) {
	traces, spans := make(map[trace.TraceID]bool), make(map[trace.SpanID]bool)
	for range 10_000 {
		id, span := ids{}.NewIDs(t.Context())
		traces[id], spans[span] = true, true
		spans[ids{}.NewSpanID(t.Context(), id)] = true
		if !id.IsValid() || !span.IsValid() {
			t.Fatal("an identifier of zeros")
		}
	}
	if len(traces) != 10_000 || len(spans) != 20_000 {
		t.Errorf("%d trace ids and %d span ids, want 10000 and 20000", len(traces), len(spans))
	}
}
