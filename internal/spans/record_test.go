package spans

import (
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/ballast-go/ballast/internal/spantest"
)

func TestPeer(t *testing.T) {
	if got := Peer(nil, "[::ffff:192.0.2.1]:80"); len(got) != 2 || got[0].Value.AsString() != "192.0.2.1" || got[1].Value.AsInt64() != 80 {
		t.Errorf("%v", got)
	}
	if got := Peer(nil, "@"); got != nil {
		t.Errorf("%v", got)
	}
	if !IsUnix(&net.UnixAddr{}) || IsUnix(&net.TCPAddr{}) || IsUnix(nil) {
		t.Error("what is a Unix socket's?")
	}
}

// What a panic was with is in a span only if it is the runtime's own.
func TestCommon(t *testing.T) {
	var zero int
	runtimes := func() (v any) {
		defer func() { v = recover() }()
		return 1 / zero
	}()
	for _, tt := range []struct {
		v    any
		says bool
	}{{errors.New("a prompt"), false}, {"a prompt", false}, {runtimes, true}} {
		p := new(spantest.Provider)
		_, span := p.Tracer("").Start(t.Context(), "x")
		rec := &reqstate.Record{
			Start: time.Now(), Outcome: reqstate.Panicked, Panic: tt.v, RequestID: "id",
			Stream: reqstate.Stream{Chunks: 2, TimeToFirstByte: time.Second, LongestGap: 2 * time.Second},
		}
		attrs := Fail(span, Common(nil, span, rec), "panic")
		for _, want := range []attribute.KeyValue{
			attribute.String("ballast.outcome", "panic"), attribute.String("ballast.request.id", "id"), attribute.String("error.type", "panic"),
			attribute.Float64("ballast.stream.time_to_first_byte", 1), attribute.Float64("ballast.stream.longest_gap", 2),
		} {
			if !slices.Contains(attrs, want) {
				t.Errorf("%v: no %v in %v", tt.v, want, attrs)
			}
		}
		got := p.Spans()[0].Data()
		if got.Status != codes.Error || len(got.Events) != 2 || got.Events[0].Name != "exception" {
			t.Fatalf("%v: %+v", tt.v, got)
		}
		if _, says := got.Events[0].Attrs["exception.message"]; says != tt.says {
			t.Errorf("%v: %v", tt.v, got.Events[0].Attrs)
		}
	}
}

func TestMethod(t *testing.T) {
	for method, want := range map[string]string{"": "GET", "POST": "POST", "QUERY": "QUERY", "get": "_OTHER", "HACK": "_OTHER"} {
		if got, known := Method(method); got != want || known != (want != "_OTHER") {
			t.Errorf("%q: %q, %v", method, got, known)
		}
	}
}

// A peer that is not trusted is linked, if it said anything that is right.
func TestLink(t *testing.T) {
	const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, tt := range []struct {
		remote Remote
		links  int
		sent   bool
	}{{Remote{}, 0, false}, {Remote{Traceparent: []string{good}}, 1, true}, {Remote{Traceparent: []string{good, good}}, 0, true}, {Remote{Traceparent: []string{"x"}, Baggage: []string{"a=b"}}, 0, true}} {
		p := new(spantest.Provider)
		_, span := p.Tracer("").Start(t.Context(), "x", trace.WithNewRoot())
		tt.remote.Link(span)
		if got := p.Spans()[0].Data().Links; len(got) != tt.links || tt.remote.Sent() != tt.sent {
			t.Errorf("%+v: %v", tt.remote, got)
		}
	}
}
