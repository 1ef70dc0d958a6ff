package tracingotlp

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// text is random, of up to n bytes, and UTF-8 or not.
func text(r *rand.Rand, n int, valid bool) string {
	b := make([]byte, r.IntN(n))
	for i := range b {
		b[i] = byte(r.Uint32())
		if valid {
			b[i] = 'a' + b[i]%26
		}
	}
	return string(b)
}

// randomAttributes has every kind of value.
func randomAttributes(r *rand.Rand, most int, valid bool) []attribute.KeyValue {
	attrs := make([]attribute.KeyValue, r.IntN(most))
	for i := range attrs {
		key, n := attribute.Key("k"+text(r, 20, valid)), r.IntN(20)
		switch r.IntN(8) {
		case 0:
			attrs[i] = key.Bool(true)
		case 1:
			attrs[i] = key.Int64(-r.Int64())
		case 2:
			attrs[i] = key.Float64(r.NormFloat64())
		case 3:
			attrs[i] = key.String(text(r, 300, valid))
		case 4:
			attrs[i] = key.BoolSlice(make([]bool, n))
		case 5:
			values := make([]int64, n) // the shortest text, and the longest encoding
			for i := range values {
				values[i] = -int64(r.IntN(2))
			}
			attrs[i] = key.Int64Slice(values)
		case 6:
			attrs[i] = key.Float64Slice(make([]float64, n))
		case 7:
			values := make([]string, n)
			for i := range values {
				values[i] = text(r, 30, valid)
			}
			attrs[i] = key.StringSlice(values)
		}
	}
	return attrs
}

func randomSpan(r *rand.Rand, valid bool) tracetest.SpanStub {
	state, err := trace.ParseTraceState("vendor=" + strings.Repeat("x", 1+r.IntN(100)))
	if err != nil {
		panic(err)
	}
	sc := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1, byte(r.Uint32())}, SpanID: trace.SpanID{1, byte(r.Uint32())}, TraceFlags: 1, TraceState: state,
	})
	s := tracetest.SpanStub{
		Name: text(r, 100, valid), SpanContext: sc, Parent: sc, SpanKind: trace.SpanKind(r.IntN(6)),
		StartTime: time.Unix(1<<40, 0), EndTime: time.Unix(1<<40, 0),
		Attributes:             randomAttributes(r, 20, valid),
		Status:                 sdktrace.Status{Code: codes.Error, Description: text(r, 100, valid)},
		DroppedAttributes:      r.IntN(1 << 20),
		DroppedEvents:          r.IntN(1 << 20),
		DroppedLinks:           r.IntN(1 << 20),
		InstrumentationLibrary: instrumentation.Scope{Name: text(r, 20, valid), Version: text(r, 20, valid)},
	}
	for range r.IntN(5) {
		s.Events = append(s.Events, sdktrace.Event{
			Name: text(r, 50, valid), Time: time.Unix(1<<40, 0), Attributes: randomAttributes(r, 5, valid), DroppedAttributeCount: r.IntN(1 << 20),
		})
	}
	for range r.IntN(5) {
		s.Links = append(s.Links, sdktrace.Link{SpanContext: sc, Attributes: randomAttributes(r, 5, valid), DroppedAttributeCount: r.IntN(1 << 20)})
	}
	return s
}

// decode is what the collector's generated code makes of a request.
func decode(t *testing.T, request []byte) *coltracepb.ExportTraceServiceRequest {
	t.Helper()
	got := new(coltracepb.ExportTraceServiceRequest)
	if err := proto.Unmarshal(request, got); err != nil {
		t.Fatalf("the collector would not read it: %v", err)
	}
	return got
}

func spansOf(request *coltracepb.ExportTraceServiceRequest) int {
	n := 0
	for _, rs := range request.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			n += len(ss.Spans)
		}
	}
	return n
}

// A span takes no more than is reckoned: else a batch may be larger than the
// collector accepts, which loses all of it.
func TestSizeIsABound(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		s := randomSpan(r, true).Snapshot()
		request, err := encode(t.Context(), []sdktrace.ReadOnlySpan{s})
		if err != nil {
			t.Fatal(err)
		}
		if got, reckoned := len(request), sizeOf(s); got > reckoned {
			t.Fatalf("%d bytes in a request, reckoned were %d: %+v", got, reckoned, tracetest.SpanStubFromReadOnlySpan(s))
		}
	}
}

// A string that is not UTF-8 is mended wherever it is, and costs no other span
// anything. The SDK passes it on, and its exporter then refuses all spans of the
// batch.
func TestInvalidUTF8(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 60 {
		good := randomSpan(r, true)
		good.Name = "good"
		spans := tracetest.SpanStubs{good}
		for range r.IntN(4) {
			spans = append(spans, randomSpan(r, false))
		}
		for i := range spans {
			spans[i].Resource = resource.NewSchemaless(attribute.String("a", text(r, 10, false)))
		}
		request, err := encode(t.Context(), spans.Snapshots())
		if err != nil {
			t.Fatal(err)
		}
		got := decode(t, request)
		if n := spansOf(got); n != len(spans) {
			t.Fatalf("%d spans, want %d", n, len(spans))
		}
		alone, err := encode(t.Context(), tracetest.SpanStubs{good}.Snapshots())
		if err != nil {
			t.Fatal(err)
		}
		found := false
		want := decode(t, alone).ResourceSpans[0].ScopeSpans[0].Spans[0]
		for _, rs := range got.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				for _, s := range ss.Spans {
					found = found || proto.Equal(s, want)
				}
			}
		}
		if !found {
			t.Fatal("the good span is not what it was")
		}
	}
}

func TestMendedText(t *testing.T) {
	stub := tracetest.SpanStub{Name: "a\xffb", Attributes: []attribute.KeyValue{attribute.StringSlice("k", []string{"x", "\xc3\x28"})}}
	request, err := encode(t.Context(), tracetest.SpanStubs{stub}.Snapshots())
	if err != nil {
		t.Fatal(err)
	}
	s := decode(t, request).ResourceSpans[0].ScopeSpans[0].Spans[0]
	if s.Name != "a\ufffdb" || s.Attributes[0].Value.GetArrayValue().Values[1].GetStringValue() != "\ufffd(" {
		t.Errorf("got %v", s)
	}
}

// Of any answer we read what the generated code reads, but that it is stricter
// about text.
func FuzzPartial(f *testing.F) {
	for _, p := range []*coltracepb.ExportTracePartialSuccess{nil, {}, {RejectedSpans: 3, ErrorMessage: "too old"}, {RejectedSpans: -1}} {
		b, err := proto.Marshal(&coltracepb.ExportTraceServiceResponse{PartialSuccess: p})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("\x0a\x02\x08\x01\x0a\x05\x12\x03abc")) // a message in two parts
	f.Add([]byte("\x0a"))
	f.Fuzz(func(t *testing.T, b []byte) {
		rejected, message, err := partial(b)
		var want coltracepb.ExportTraceServiceResponse
		wantErr := proto.Unmarshal(b, &want)
		if wantErr != nil {
			return
		}
		if p := want.GetPartialSuccess(); err != nil || rejected != p.GetRejectedSpans() || message != p.GetErrorMessage() {
			t.Errorf("%q: got %d %q %v, want %v", b, rejected, message, err, &want)
		}
	})
}

func TestErrorText(t *testing.T) {
	status, err := proto.Marshal(&anypb.Any{Value: []byte("not so fast")}) // field 2, as a google.rpc.Status has its message
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ body, kind, want string }{
		{"busy", "text/plain", "busy"},
		{"", "", ""},
		{string(status), "application/x-protobuf", "not so fast"},
		{"\x0a", "application/x-protobuf", fmt.Sprint(errUnexpectedEnd)},
	} {
		if got := errorText([]byte(c.body), c.kind); got != c.want {
			t.Errorf("%q as %q: got %q, want %q", c.body, c.kind, got, c.want)
		}
	}
}

// errUnexpectedEnd is protowire's.
var errUnexpectedEnd = fields([]byte{0x0a}, nil)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"":                              0,
		"7":                             7 * time.Second,
		"-7":                            0,
		"99999999999":                   0,
		"Fri, 02 Jan 2026 03:04:35 GMT": 30 * time.Second,
		"Fri, 02 Jan 2026 03:04:00 GMT": 0,
		"soon":                          0,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}
