package tracinggrpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	grpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/ballast-go/ballast/internal/spantest"
	"github.com/ballast-go/ballast/tracing"
	"github.com/ballast-go/ballast/tracing/tracinggrpc"
)

const (
	traceID     = "0af7651916cd43dd8448eb211c80319c"
	spanID      = "b7ad6b7169203331"
	traceparent = "00-" + traceID + "-" + spanID + "-01"
)

var loopback = tracinggrpc.TrustedPeers(netip.MustParsePrefix("127.0.0.0/8"))

// recovers is what is outside on a server, so that a panic does not end the tests.
func recovers(p trace.TracerProvider, cfg tracinggrpc.ServerConfig) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (_ any, err error) {
			defer func() {
				if v := recover(); v != nil {
					err = status.Error(grpccodes.Internal, "panic")
				}
			}()
			return handler(ctx, req)
		}, tracinggrpc.UnaryServerInterceptor(p, cfg)),
		grpc.ChainStreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
			defer func() {
				if v := recover(); v != nil {
					err = status.Error(grpccodes.Internal, "panic")
				}
			}()
			return handler(srv, stream)
		}, tracinggrpc.StreamServerInterceptor(p, cfg)),
	}
}

func only(t *testing.T, p *spantest.Provider) *spantest.Span {
	t.Helper()
	all := p.Spans()
	if len(all) != 1 || all[0].Data().Ends != 1 {
		t.Fatalf("%d spans: %v", len(all), all)
	}
	return all[0]
}

func want(t *testing.T, s *spantest.Span, kv ...string) {
	t.Helper()
	attrs := s.Data().Attrs
	for i := 0; i < len(kv); i += 2 {
		got := ""
		if v, ok := attrs[attribute.Key(kv[i])]; ok {
			got = v.Emit()
		}
		if got != kv[i+1] {
			t.Errorf("%s is %q, want %q, of %v", kv[i], got, kv[i+1], s)
		}
	}
}

// From a client to a trusting server, one trace; each side has one span.
func TestPropagation(t *testing.T) {
	client, server := &spantest.Provider{}, &spantest.Provider{Never: true}
	var seen, bag string
	b, err := baggage.Parse("tenant=x,other=y")
	if err != nil {
		t.Fatal(err)
	}
	cc, stop := serve(t, numbers{unary: func(ctx context.Context, n int64) (int64, error) {
		id, span, ok := tracing.IDs(ctx)
		rec := reqstate.FromContext(ctx).Record()
		seen = fmt.Sprintf("%x %x %v %v", id, span, ok, rec.TraceID == id && rec.SpanID == span && rec.Sampled)
		bag = baggage.FromContext(ctx).String()
		return n, nil
	}}, recovers(server, tracinggrpc.ServerConfig{Trust: loopback, BaggageKeys: []string{"tenant"}}),
		grpc.WithStatsHandler(tracinggrpc.NewClientHandler(client, tracinggrpc.ClientConfig{Baggage: func(string) bool { return true }})))
	ctx := baggage.ContextWithBaggage(t.Context(), b)
	ctx = metadata.AppendToOutgoingContext(ctx, "traceparent", traceparent, "baggage", "tenant=evil", "mine", "1")
	if _, err := call(ctx, cc, 1); err != nil {
		t.Fatal(err)
	}
	stop()
	from, to := only(t, client), only(t, server)
	f, d := from.Data(), to.Data()
	if f.Parent.IsValid() || f.Kind != trace.SpanKindClient || d.Kind != trace.SpanKindServer ||
		d.Parent.SpanID() != from.SpanContext().SpanID() || d.Parent.TraceID() != from.SpanContext().TraceID() {
		t.Errorf("%+v\n%+v", f, d)
	}
	sc := to.SpanContext()
	if seen != fmt.Sprintf("%s %s true true", sc.TraceID(), sc.SpanID()) || bag != "tenant=x" {
		t.Errorf("the handler saw %s, %s", seen, bag)
	}
	for _, s := range []*spantest.Span{from, to} {
		if s.Data().Name != "test.Numbers/Unary" || s.Data().Status != codes.Unset {
			t.Errorf("%v", s)
		}
		want(t, s, "rpc.system", "grpc", "rpc.service", "test.Numbers", "rpc.method", "Unary", "rpc.grpc.status_code", "0",
			"network.peer.address", "127.0.0.1", "error.type", "")
	}
	want(t, from, "ballast.rpc.messages_sent", "1", "ballast.rpc.messages_received", "1", "ballast.rpc.bytes_sent", "2")
	if agent := to.Attr("user_agent.original"); !strings.HasPrefix(agent, "grpc-go/") {
		t.Errorf("%q", agent)
	}
}

// No client of no standing has its calls recorded.
func TestForgedContexts(t *testing.T) {
	server := &spantest.Provider{Never: true}
	cc, stop := serve(t, numbers{}, recovers(server, tracinggrpc.ServerConfig{Trust: tracinggrpc.TrustedPeers()}))
	ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", traceparent)
	for range 1000 {
		if _, err := call(ctx, cc, 1); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if n := len(server.Spans()); n != 0 {
		t.Errorf("%d of 1000 were forced", n)
	}

	server = &spantest.Provider{}
	cc, stop = serve(t, numbers{}, recovers(server, tracinggrpc.ServerConfig{}))
	if _, err := call(ctx, cc, 1); err != nil {
		t.Fatal(err)
	}
	stop()
	if d := only(t, server).Data(); d.Parent.IsValid() || len(d.Links) != 1 || d.Links[0].SpanContext.SpanID().String() != spanID {
		t.Errorf("%+v", d)
	}
}

func TestServerOutcomes(t *testing.T) {
	for name, tt := range map[string]struct {
		f       func(ctx context.Context) error
		code    grpccodes.Code
		err     string
		outcome string
		reason  string
	}{
		"ok":            {func(context.Context) error { return nil }, grpccodes.OK, "", "", ""},
		"not found":     {func(context.Context) error { return status.Error(grpccodes.NotFound, "a prompt") }, grpccodes.NotFound, "", "", ""},
		"limited":       {func(context.Context) error { return status.Error(grpccodes.ResourceExhausted, "") }, grpccodes.ResourceExhausted, "", "", ""},
		"unknown":       {func(context.Context) error { return errors.New("a prompt") }, grpccodes.Unknown, "Unknown", "", ""},
		"unavailable":   {func(context.Context) error { return status.Error(grpccodes.Unavailable, "") }, grpccodes.Unavailable, "Unavailable", "", ""},
		"unimplemented": {func(context.Context) error { return status.Error(grpccodes.Unimplemented, "") }, grpccodes.Unimplemented, "Unimplemented", "", ""},
		"timeout":       {func(context.Context) error { return context.DeadlineExceeded }, grpccodes.DeadlineExceeded, "DeadlineExceeded", "timeout", ""},
		"no code":       {func(context.Context) error { return status.Error(77, "") }, 77, "Code(77)", "", ""},
		"shed": {func(ctx context.Context) error {
			reqstate.FromContext(ctx).SetReason("shed")
			return status.Error(grpccodes.Unavailable, "")
		}, grpccodes.Unavailable, "", "", "shed"},
		"shed and panicked": {func(ctx context.Context) error {
			reqstate.FromContext(ctx).SetReason("shed")
			panic("a prompt")
		}, grpccodes.Internal, "panic", "panic", ""},
		"panic": {func(context.Context) error { panic("a prompt") }, grpccodes.Internal, "panic", "panic", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, stream := range []bool{false, true} {
				p := &spantest.Provider{}
				cc, stop := serve(t, numbers{
					unary:  func(ctx context.Context, n int64) (int64, error) { return n, tt.f(ctx) },
					stream: func(s grpc.ServerStream) error { return tt.f(s.Context()) },
				}, recovers(p, tracinggrpc.ServerConfig{}))
				if stream {
					s, err := cc.NewStream(t.Context(), &chat, service+"Chat")
					if err != nil {
						t.Fatal(err)
					}
					_, _ = receive(s)
				} else {
					_, _ = call(t.Context(), cc, 1)
				}
				stop()
				span := only(t, p)
				want(t, span, "rpc.grpc.status_code", fmt.Sprint(uint32(tt.code)), "error.type", tt.err, "ballast.outcome", tt.outcome, "ballast.reason", tt.reason)
				if (span.Data().Status == codes.Error) != (tt.err != "") || strings.Contains(span.String(), "prompt") {
					t.Errorf("%v", span)
				}
				if tt.err == "panic" && (len(span.Data().Events) != 1 || span.Data().Events[0].Name != "exception") {
					t.Errorf("%v", span)
				}
			}
		})
	}
}

func TestServerCanceled(t *testing.T) {
	p := &spantest.Provider{}
	ctx, cancel := context.WithCancel(t.Context())
	cc, stop := serve(t, numbers{unary: func(ctx context.Context, _ int64) (int64, error) {
		cancel()
		<-ctx.Done()
		return 0, ctx.Err()
	}}, recovers(p, tracinggrpc.ServerConfig{}))
	_, _ = call(ctx, cc, 1)
	stop()
	span := only(t, p)
	want(t, span, "rpc.grpc.status_code", "1", "error.type", "", "ballast.outcome", "client-gone")
}

func TestStreams(t *testing.T) {
	client, server := &spantest.Provider{}, &spantest.Provider{}
	cc, stop := serve(t, numbers{}, recovers(server, tracinggrpc.ServerConfig{Trust: loopback}),
		grpc.WithStatsHandler(tracinggrpc.NewClientHandler(client, tracinggrpc.ClientConfig{})),
		grpc.WithChainStreamInterceptor(tracinggrpc.StreamClientInterceptor(client, tracinggrpc.ClientConfig{})))
	s, err := cc.NewStream(t.Context(), &chat, service+"Chat")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := send(s, int64(i)); err != nil {
			t.Fatal(err)
		}
		if _, err := receive(s); err != nil {
			t.Fatal(err)
		}
	}
	_ = s.CloseSend()
	if _, err := receive(s); err != io.EOF {
		t.Fatal(err)
	}
	stop()
	span := only(t, server)
	want(t, span, "ballast.stream.chunks", "3", "ballast.stream.messages_received", "3", "rpc.grpc.status_code", "0")
	if e := span.Data().Events; len(e) != 1 || e[0].Name != "ballast.first_byte" {
		t.Errorf("%v", span)
	}
	ended := client.Ended()
	if len(ended) != 2 {
		t.Fatalf("%v", client.Spans())
	}
	of, attempt := ended[0], ended[1]
	if of.Data().Name != "call test.Numbers/Chat" || of.Data().Kind != trace.SpanKindInternal ||
		attempt.Data().Parent.SpanID() != of.SpanContext().SpanID() || span.Data().Parent.SpanID() != attempt.SpanContext().SpanID() {
		t.Errorf("%v, %v, %v", of, attempt, span)
	}
	for _, s := range ended {
		want(t, s, "ballast.rpc.messages_sent", "3", "ballast.rpc.messages_received", "3", "rpc.grpc.status_code", "0", "error.type", "")
	}
}

// A call's retries are spans of their own, inside the call's.
func TestRetries(t *testing.T) {
	client := &spantest.Provider{}
	n := 0
	cc, stop := serve(t, numbers{unary: func(context.Context, int64) (int64, error) {
		if n++; n < 3 {
			return 0, status.Error(grpccodes.Unavailable, "a prompt")
		}
		return 1, nil
	}}, recovers(&spantest.Provider{}, tracinggrpc.ServerConfig{}),
		grpc.WithStatsHandler(tracinggrpc.NewClientHandler(client, tracinggrpc.ClientConfig{})),
		grpc.WithChainUnaryInterceptor(tracinggrpc.UnaryClientInterceptor(client, tracinggrpc.ClientConfig{})),
		grpc.WithDefaultServiceConfig(`{"methodConfig":[{"name":[{}],"retryPolicy":{"maxAttempts":4,"initialBackoff":"0.001s","maxBackoff":"0.001s","backoffMultiplier":1,"retryableStatusCodes":["UNAVAILABLE"]}}]}`))
	if _, err := call(t.Context(), cc, 1); err != nil {
		t.Fatal(err)
	}
	stop()
	ended := client.Ended()
	if len(ended) != 4 || len(client.Spans()) != 4 {
		t.Fatalf("%v", client.Spans())
	}
	want(t, ended[0], "rpc.grpc.status_code", "0", "error.type", "")
	for i, s := range ended[1:] {
		if s.Data().Parent.SpanID() != ended[0].SpanContext().SpanID() || strings.Contains(s.String(), "prompt") {
			t.Errorf("%v", s)
		}
		want(t, s, "error.type", []string{"Unavailable", "Unavailable", ""}[i])
	}
}

func TestClientOutcomes(t *testing.T) {
	for name, tt := range map[string]struct {
		err     error
		kind    string
		outcome string
	}{
		"not found": {status.Error(grpccodes.NotFound, "a prompt"), "NotFound", ""},
		"limited":   {status.Error(grpccodes.ResourceExhausted, ""), "", ""},
		"canceled":  {context.Canceled, "", "canceled"},
		"deadline":  {context.DeadlineExceeded, "DeadlineExceeded", ""},
		"plain":     {errors.New("a prompt"), "Unknown", ""},
	} {
		p := &spantest.Provider{}
		i := tracinggrpc.UnaryClientInterceptor(p, tracinggrpc.ClientConfig{})
		err := i(t.Context(), service+"Unary", nil, nil, nil, func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return tt.err })
		if err != tt.err {
			t.Errorf("%s: %v", name, err)
		}
		span := only(t, p)
		want(t, span, "error.type", tt.kind, "ballast.outcome", tt.outcome)
		if strings.Contains(span.String(), "prompt") {
			t.Errorf("%v", span)
		}

		p = &spantest.Provider{}
		si := tracinggrpc.StreamClientInterceptor(p, tracinggrpc.ClientConfig{})
		if _, err := si(t.Context(), &chat, nil, service+"Chat", func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
			return nil, tt.err
		}); err != tt.err {
			t.Errorf("%s: %v", name, err)
		}
		want(t, only(t, p), "error.type", tt.kind, "ballast.outcome", tt.outcome)
	}
}

// A stream that is dropped ends with its context.
func TestDroppedStream(t *testing.T) {
	p := &spantest.Provider{}
	cc, stop := serve(t, numbers{}, recovers(&spantest.Provider{}, tracinggrpc.ServerConfig{}),
		grpc.WithStatsHandler(tracinggrpc.NewClientHandler(p, tracinggrpc.ClientConfig{})),
		grpc.WithChainStreamInterceptor(tracinggrpc.StreamClientInterceptor(p, tracinggrpc.ClientConfig{})))
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := cc.NewStream(ctx, &chat, service+"Chat"); err != nil {
		t.Fatal(err)
	}
	cancel()
	stop()
	for len(p.Ended()) < 2 {
		runtime.Gosched()
	}
	for _, s := range p.Ended() {
		want(t, s, "ballast.outcome", "canceled", "error.type", "")
	}
}

func TestClientPanic(t *testing.T) {
	p := &spantest.Provider{}
	i := tracinggrpc.UnaryClientInterceptor(p, tracinggrpc.ClientConfig{})
	func() {
		defer func() {
			if v := recover(); v != "boom" {
				t.Errorf("%v", v)
			}
		}()
		_ = i(t.Context(), service+"Unary", nil, nil, nil, func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { panic("boom") })
	}()
	want(t, only(t, p), "error.type", "Internal")
}

func TestSkip(t *testing.T) {
	client, server := &spantest.Provider{}, &spantest.Provider{}
	skip := func(method string) bool { return method == service+"Unary" || method == service+"Chat" }
	var got []string
	cc, stop := serve(t, numbers{unary: func(ctx context.Context, n int64) (int64, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		got = append(append(md["traceparent"], md["tracestate"]...), md["baggage"]...)
		return n, nil
	}}, recovers(server, tracinggrpc.ServerConfig{Skip: skip}),
		grpc.WithStatsHandler(tracinggrpc.NewClientHandler(client, tracinggrpc.ClientConfig{Skip: skip})),
		grpc.WithChainUnaryInterceptor(tracinggrpc.UnaryClientInterceptor(client, tracinggrpc.ClientConfig{Skip: skip})),
		grpc.WithChainStreamInterceptor(tracinggrpc.StreamClientInterceptor(client, tracinggrpc.ClientConfig{Skip: skip})))
	if _, err := call(metadata.AppendToOutgoingContext(t.Context(), "traceparent", traceparent, "tracestate", "evil=1", "baggage", "evil=1"), cc, 1); err != nil {
		t.Fatal(err)
	}
	s, err := cc.NewStream(t.Context(), &chat, service+"Chat")
	if err != nil {
		t.Fatal(err)
	}
	_ = s.CloseSend()
	_, _ = receive(s)
	stop()
	if len(client.Spans())+len(server.Spans()) != 0 || len(got) != 0 {
		t.Errorf("%v %v %q", client.Spans(), server.Spans(), got)
	}
}

func TestNilProviders(t *testing.T) {
	for name, f := range map[string]func(){
		"UnaryServerInterceptor":  func() { tracinggrpc.UnaryServerInterceptor(nil, tracinggrpc.ServerConfig{}) },
		"StreamServerInterceptor": func() { tracinggrpc.StreamServerInterceptor(nil, tracinggrpc.ServerConfig{}) },
		"UnaryClientInterceptor":  func() { tracinggrpc.UnaryClientInterceptor(nil, tracinggrpc.ClientConfig{}) },
		"StreamClientInterceptor": func() { tracinggrpc.StreamClientInterceptor(nil, tracinggrpc.ClientConfig{}) },
		"NewClientHandler":        func() { tracinggrpc.NewClientHandler(nil, tracinggrpc.ClientConfig{}) },
	} {
		func() {
			defer func() {
				if v := recover(); v != "tracinggrpc: "+name+" of a nil TracerProvider" {
					t.Errorf("%v", v)
				}
			}()
			f()
		}()
	}
}

func TestServerAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	info := &grpc.UnaryServerInfo{FullMethod: service + "Unary"}
	i := tracinggrpc.UnaryServerInterceptor(&spantest.Provider{Never: true}, tracinggrpc.ServerConfig{})
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("traceparent", traceparent, "user-agent", "x"))
	n := testing.AllocsPerRun(200, func() {
		_, _ = i(ctx, nil, info, func(context.Context, any) (any, error) { return nil, nil })
	})
	// The State, the span and its context are three, and a copy of each metadata value.
	if n > 6 {
		t.Errorf("%v allocations", n)
	}
}
