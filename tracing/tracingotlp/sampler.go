package tracingotlp

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// A sampler is the SDK's ParentBased(TraceIDRatioBased(ratio)), or without
// parents its TraceIDRatioBased(ratio), at one look into the context instead of
// three. Services that agree on a ratio agree on the traces.
type sampler struct {
	bound  uint64 // of the 63 random bits that decide
	parent bool
	ratio  float64
	off    atomic.Bool // nobody exports any more
}

func newSampler(ratio float64, parent bool) *sampler {
	return &sampler{bound: uint64(ratio * (1 << 63)), parent: parent, ratio: ratio}
}

func (s *sampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	parent := trace.SpanContextFromContext(p.ParentContext)
	sampled := binary.BigEndian.Uint64(p.TraceID[8:])>>1 < s.bound
	if s.parent && parent.IsValid() {
		sampled = parent.IsSampled()
	}
	r := sdktrace.SamplingResult{Decision: sdktrace.Drop, Tracestate: parent.TraceState()}
	if sampled && !s.off.Load() {
		r.Decision = sdktrace.RecordAndSample
	}
	return r
}

func (s *sampler) Description() string {
	if s.parent {
		return fmt.Sprintf("ParentBased{root:TraceIDRatioBased{%g}}", s.ratio)
	}
	return fmt.Sprintf("TraceIDRatioBased{%g}", s.ratio)
}

// ids are random, from the runtime's generator of each thread, where older SDKs
// take a lock. An identifier of zeros is none (W3C Trace Context §3.2.2.3).
type ids struct{}

func (ids) NewIDs(context.Context) (t trace.TraceID, s trace.SpanID) {
	for !t.IsValid() {
		binary.NativeEndian.PutUint64(t[:8], rand.Uint64())
		binary.NativeEndian.PutUint64(t[8:], rand.Uint64())
	}
	return t, newSpanID()
}

func (ids) NewSpanID(context.Context, trace.TraceID) trace.SpanID { return newSpanID() }

func newSpanID() (s trace.SpanID) {
	for !s.IsValid() {
		binary.NativeEndian.PutUint64(s[:], rand.Uint64())
	}
	return s
}
