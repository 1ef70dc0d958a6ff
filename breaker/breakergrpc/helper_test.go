package breakergrpc_test

import (
	"context"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ballast-go/ballast/breaker"
	"github.com/ballast-go/ballast/breaker/breakergrpc"
)

const service = "/test.Numbers/"

// Streams of each kind: the client's, the server's, and both.
var (
	upload = grpc.StreamDesc{StreamName: "Upload", ClientStreams: true}
	watch  = grpc.StreamDesc{StreamName: "Watch", ServerStreams: true}
	chat   = grpc.StreamDesc{StreamName: "Chat", ServerStreams: true, ClientStreams: true}
)

// numbers is what is behind the methods.
type numbers struct {
	unary  func(ctx context.Context, n int64) (int64, error)
	stream func(stream grpc.ServerStream) error
}

// always answers each method with what f does.
func always(f func(ctx context.Context, n int64) (int64, error)) numbers {
	return numbers{unary: f, stream: func(stream grpc.ServerStream) error {
		n, err := receive(stream)
		if err != nil {
			return err
		}
		if n, err = f(stream.Context(), n); err != nil {
			return err
		}
		return send(stream, n)
	}}
}

var echo = always(func(_ context.Context, n int64) (int64, error) { return n, nil })

// gate is a handler that says when it has begun, and waits for its context or
// for a word.
type gate struct {
	begun chan context.Context
	word  chan error
}

func newGate() *gate { return &gate{make(chan context.Context), make(chan error)} }

func (g *gate) handle(ctx context.Context, n int64) (int64, error) {
	g.begun <- ctx
	select {
	case err := <-g.word:
		return n, err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func receive(stream interface{ RecvMsg(any) error }) (int64, error) {
	var in wrapperspb.Int64Value
	err := stream.RecvMsg(&in)
	return in.Value, err
}

func send(stream interface{ SendMsg(any) error }, n int64) error {
	return stream.SendMsg(wrapperspb.Int64(n))
}

// register does by hand what generated code does.
func (f numbers) register(s *grpc.Server, name string) {
	streams := []grpc.StreamDesc{upload, watch, chat}
	for i := range streams {
		streams[i].Handler = func(_ any, stream grpc.ServerStream) error { return f.stream(stream) }
	}
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: name,
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Unary",
			Handler: func(_ any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
				in := new(wrapperspb.Int64Value)
				if err := decode(in); err != nil {
					return nil, err
				}
				handle := func(ctx context.Context, in any) (any, error) {
					n, err := f.unary(ctx, in.(*wrapperspb.Int64Value).Value)
					return wrapperspb.Int64(n), err
				}
				if interceptor == nil {
					return handle(ctx, in)
				}
				return interceptor(ctx, in, &grpc.UnaryServerInfo{FullMethod: "/" + name + "/Unary"}, handle)
			},
		}},
		Streams: streams,
	}, f)
}

// serve starts a server of f, in memory, and returns a client of it. Both end
// with t.
func serve(t testing.TB, f numbers, server []grpc.ServerOption, client ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	l := bufconn.Listen(1 << 16)
	s := grpc.NewServer(server...)
	f.register(s, "test.Numbers")
	f.register(s, "grpc.health.v1.Health")
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	client = append(client,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	// NewClient came in 1.63, and tests are no reason for a higher floor.
	cc, err := grpc.Dial("passthrough:///bufconn", client...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cc.Close(); err != nil && status.Code(err) != codes.Canceled { // a test's own Close came first
			t.Errorf("close the client: %v", err)
		}
		s.Stop() // and waits for the handlers
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return cc
}

// intercept makes both of a server's interceptors.
func intercept(b *breaker.Breaker, cfg breakergrpc.ServerConfig) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.UnaryInterceptor(breakergrpc.UnaryServerInterceptor(b, cfg)),
		grpc.StreamInterceptor(breakergrpc.StreamServerInterceptor(b, cfg)),
	}
}

// guard makes both of a client's.
func guard(b *breaker.Breaker, cfg breakergrpc.ClientConfig) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithUnaryInterceptor(breakergrpc.UnaryClientInterceptor(b, cfg)),
		grpc.WithStreamInterceptor(breakergrpc.StreamClientInterceptor(b, cfg)),
	}
}

// answer is all that a client sees of a call.
type answer struct {
	n       int64
	err     error
	trailer metadata.MD
}

func callUnary(ctx context.Context, cc *grpc.ClientConn, n int64) answer {
	return callUnaryOf(ctx, cc, service, n)
}

func callUnaryOf(ctx context.Context, cc *grpc.ClientConn, service string, n int64) (a answer) {
	var out wrapperspb.Int64Value
	a.err = cc.Invoke(ctx, service+"Unary", wrapperspb.Int64(n), &out, grpc.Trailer(&a.trailer))
	a.n = out.Value
	return a
}

// callStream makes a stream of one message each way.
func callStream(desc grpc.StreamDesc) func(context.Context, *grpc.ClientConn, int64) answer {
	return func(ctx context.Context, cc *grpc.ClientConn, n int64) answer {
		return callStreamOf(ctx, cc, service, desc, n)
	}
}

func callStreamOf(ctx context.Context, cc *grpc.ClientConn, service string, desc grpc.StreamDesc, n int64) (a answer) {
	stream, err := cc.NewStream(ctx, &desc, service+desc.StreamName)
	if err != nil {
		return answer{err: err}
	}
	if err := send(stream, n); err != nil && err != io.EOF {
		return answer{err: err}
	}
	if err := stream.CloseSend(); err != nil {
		return answer{err: err}
	}
	if a.n, a.err = receive(stream); a.err == nil && desc.ServerStreams {
		if _, err := receive(stream); err != io.EOF {
			a.err = err
		}
	}
	a.trailer = stream.Trailer()
	return a
}

var kinds = map[string]func(context.Context, *grpc.ClientConn, int64) answer{
	"unary":  callUnary,
	"upload": callStream(upload),
	"watch":  callStream(watch),
	"chat":   callStream(chat),
}

func newBreaker(t testing.TB, cfg breaker.Config) *breaker.Breaker {
	t.Helper()
	b, err := breaker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// opened returns a breaker that lets nothing through.
func opened(t testing.TB) *breaker.Breaker {
	b := newBreaker(t, breaker.Config{Name: secret})
	b.ForceOpen()
	return b
}

// counts is what a breaker has been told.
type counts struct{ successes, failures, ignored, slow, rejected uint64 }

func told(b *breaker.Breaker) counts {
	s := b.Stats()
	return counts{s.Successes, s.Failures, s.Ignored, s.Slow, s.Rejected}
}

// check fails t if b has been told anything else.
func (want counts) check(t *testing.T, b *breaker.Breaker) {
	t.Helper()
	if got := told(b); got != want {
		t.Errorf("the breaker was told %+v, want %+v", got, want)
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// outcome is what a client should see.
type outcome struct {
	code   codes.Code
	reason string
	wait   int64 // seconds at least, and a quarter and a second more at most; 0, nothing about it
}

// secret is in every internal text.
const secret = "hunter2"

// check compares what the client got. The trailer is not looked at if nil.
func (want outcome) check(t *testing.T, err error, trailer metadata.MD) {
	t.Helper()
	st, ok := status.FromError(err)
	if !ok || st.Code() != want.code {
		t.Fatalf("the client got %v, want code %v", err, want.code)
	}
	if want.code == codes.OK {
		return
	}
	if strings.Contains(err.Error(), secret) || strings.Contains(st.Proto().String(), secret) || strings.Contains(st.Message(), "breaker") {
		t.Errorf("the internal error reaches the client: %v", err)
	}
	if text := st.Message(); text == "" || !strings.HasSuffix(text, ".") {
		t.Errorf("the text is %q", text)
	}
	var reason string
	var wait time.Duration
	for _, detail := range st.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = detail.Reason
			if detail.Domain != breakergrpc.Domain {
				t.Errorf("domain %q", detail.Domain)
			}
		case *errdetails.RetryInfo:
			wait = detail.RetryDelay.AsDuration()
		default:
			t.Errorf("unexpected detail %T", detail)
		}
	}
	if reason != want.reason {
		t.Errorf("reason %q, want %q", reason, want.reason)
	}
	least, most := time.Duration(want.wait)*time.Second, time.Duration(want.wait+want.wait/4+1)*time.Second
	if want.wait == 0 {
		most = 0
	}
	if wait < least || wait > most || wait%time.Second != 0 {
		t.Errorf("RetryInfo says %v, want %v to %v", wait, least, most)
	}
	if trailer == nil {
		return
	}
	var pushback []string
	if want.wait > 0 {
		pushback = []string{strconv.FormatInt(wait.Milliseconds(), 10)}
	}
	if got := trailer.Get("grpc-retry-pushback-ms"); !slices.Equal(got, pushback) {
		t.Errorf("the trailer says %q, want %q", got, pushback)
	}
}
