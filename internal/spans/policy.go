package spans

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"
)

// What the W3C has everybody pass on at least, which is the most that is read here.
const (
	maxTracestate     = 512  // bytes, Trace Context §3.3.1.5
	MaxBaggageMembers = 64   // Baggage §3.3.2
	MaxBaggageBytes   = 8192 // Baggage §3.3.2
	defaultForced     = 100
)

// Settings are what of a trusted peer's context is believed; see
// tracing.MiddlewareConfig.
type Settings struct {
	MaxForced       int
	BaggageKeys     []string
	MaxBaggageBytes int
}

// A Policy decides what of a remote context is believed.
type Policy struct {
	forced forced
	keys   []string
	bytes  int
}

// NewPolicy returns a Policy with defaults filled in.
func NewPolicy(s Settings) *Policy {
	p := &Policy{keys: slices.Clone(s.BaggageKeys), bytes: s.MaxBaggageBytes}
	if p.bytes <= 0 || p.bytes > MaxBaggageBytes {
		p.bytes = MaxBaggageBytes
	}
	p.forced.most = uint64(max(s.MaxForced, 0))
	if s.MaxForced == 0 {
		p.forced.most = defaultForced
	}
	p.forced.most = min(p.forced.most, countMask)
	p.forced.epoch = time.Now()
	return p
}

// Remote is what a peer sent of its context.
type Remote struct{ Traceparent, Tracestate, Baggage []string }

// Sent reports whether there is anything that could be believed.
func (r *Remote) Sent() bool { return len(r.Traceparent) > 0 || len(r.Baggage) > 0 }

// Trusted returns ctx with the remote parent and the baggage of r.
func (p *Policy) Trusted(ctx context.Context, r *Remote, now time.Time) context.Context {
	if sc := r.parent(); sc.IsValid() {
		if sc.IsSampled() && !p.forced.allow(now) {
			sc = sc.WithTraceFlags(0)
		}
		if state := tracestate(r.Tracestate); state.Len() > 0 {
			sc = sc.WithTraceState(state)
		}
		ctx = trace.ContextWithRemoteSpanContext(ctx, sc)
	}
	if len(r.Baggage) > 0 && len(p.keys) > 0 {
		if b := p.baggage(r.Baggage); b.Len() > 0 {
			ctx = baggage.ContextWithBaggage(ctx, b)
		}
	}
	return ctx
}

// Link has span tell of the peer whose word is not taken for it.
func (r *Remote) Link(span trace.Span) {
	if sc := r.parent(); sc.IsValid() {
		span.AddLink(trace.Link{SpanContext: sc})
	}
}

// parent returns what r's traceparent says. Of two none can be right (Trace Context
// §3.2 has one; who adds another wants to be the one that is read).
func (r *Remote) parent() (sc trace.SpanContext) {
	if len(r.Traceparent) != 1 {
		return sc
	}
	id, span, flags, ok := Parse(r.Traceparent[0])
	if !ok {
		return sc
	}
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: span, TraceFlags: flags, Remote: true})
}

// tracestate returns none of a list that is too long or broken (§3.3.1.1: "the vendor
// MAY discard the tracestate").
func tracestate(v []string) (none trace.TraceState) {
	if len(v) == 0 {
		return none
	}
	joined, ok := join(v, maxTracestate)
	if !ok {
		return none
	}
	state, err := trace.ParseTraceState(joined)
	if err != nil {
		return none
	}
	return state
}

// baggage keeps the members that are let in. It looks for these alone before anything
// is decoded, so that what a peer sends cannot cost more than its bytes.
func (p *Policy) baggage(v []string) (none baggage.Baggage) {
	joined, ok := join(v, p.bytes)
	if !ok {
		return none
	}
	var kept strings.Builder
	n := 0
	for member := range strings.SplitSeq(joined, ",") {
		key, _, _ := strings.Cut(member, "=")
		if !slices.Contains(p.keys, strings.Trim(key, " \t")) {
			continue
		}
		if n++; n > MaxBaggageMembers {
			return none
		}
		if kept.Len() > 0 {
			kept.WriteByte(',')
		}
		kept.WriteString(member)
	}
	if n == 0 {
		return none
	}
	b, err := baggage.Parse(kept.String())
	if err != nil {
		return none
	}
	return b
}

// join returns the list that v's fields make together, if it is no longer than most.
func join(v []string, most int) (string, bool) {
	size := len(v) - 1
	for _, s := range v {
		if size += len(s); size > most {
			return "", false
		}
	}
	if len(v) == 1 {
		return v[0], true
	}
	return strings.Join(v, ","), true
}

// forced counts, for each second, the traces that others have us record.
type forced struct {
	most  uint64
	epoch time.Time     // seconds are counted from here, so that no clock that is set disturbs them
	word  atomic.Uint64 // the second, and in its lower bits how many there were
}

const (
	countBits = 24
	countMask = 1<<countBits - 1
)

// allow counts a request that began at now. One that was overtaken counts in the
// second of those that overtook it: seconds never come back, or each time they did
// there would be as many again.
func (f *forced) allow(now time.Time) bool {
	second := uint64(max(now.Sub(f.epoch), 0)/time.Second) << countBits
	for {
		old := f.word.Load()
		word := max(old, second)
		if word&countMask >= f.most {
			return false
		}
		if f.word.CompareAndSwap(old, word+1) {
			return true
		}
	}
}
