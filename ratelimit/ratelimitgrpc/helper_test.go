package ratelimitgrpc_test

import (
	"context"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/ratelimit/ratelimitgrpc"
)

// The service has one method of each kind, with numbers as messages.
const (
	unaryMethod  = "/test.Numbers/Unary"
	streamMethod = "/test.Numbers/Stream"
)

var streamDesc = grpc.StreamDesc{StreamName: "Stream", ServerStreams: true, ClientStreams: true}

// numbers is what is behind the methods.
type numbers struct {
	unary  func(ctx context.Context, n int64) (int64, error)
	stream func(stream grpc.ServerStream) error
}

// echo answers with what it gets.
var echo = numbers{
	unary: func(_ context.Context, n int64) (int64, error) { return n, nil },
	stream: func(stream grpc.ServerStream) error {
		for {
			n, err := receive(stream)
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			if err := send(stream, n); err != nil {
				return err
			}
		}
	},
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
func (f numbers) register(s *grpc.Server) {
	stream := streamDesc
	stream.Handler = func(_ any, stream grpc.ServerStream) error { return f.stream(stream) }
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "test.Numbers",
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
				return interceptor(ctx, in, &grpc.UnaryServerInfo{FullMethod: unaryMethod}, handle)
			},
		}},
		Streams: []grpc.StreamDesc{stream},
	}, f)
}

// serve starts a server of f, in memory, and returns a client of it. Both end
// with t.
func serve(t testing.TB, f numbers, server []grpc.ServerOption, client ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	l := bufconn.Listen(1 << 16)
	return serveOn(t, l, f, server, append(client,
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))...)
}

// serveOn does so on l.
func serveOn(t testing.TB, l net.Listener, f numbers, server []grpc.ServerOption, client ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	s := grpc.NewServer(server...)
	f.register(s)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	client = append(client, grpc.WithTransportCredentials(insecure.NewCredentials()))
	// NewClient came in 1.63, and tests are no reason for a higher floor.
	cc, err := grpc.Dial("passthrough:///"+l.Addr().String(), client...)
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

// bubble is t.Run where no time passes but what f waits for.
func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// intercept makes both interceptors.
func intercept(l ratelimit.Limiter, cfg ratelimitgrpc.ServerConfig) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.UnaryInterceptor(ratelimitgrpc.UnaryServerInterceptor(l, cfg)),
		grpc.StreamInterceptor(ratelimitgrpc.StreamServerInterceptor(l, cfg)),
	}
}

// answer is all that a client sees of a call.
type answer struct {
	n               int64
	err             error
	header, trailer metadata.MD
}

func callUnary(ctx context.Context, cc *grpc.ClientConn, n int64) (a answer) {
	var out wrapperspb.Int64Value
	a.err = cc.Invoke(ctx, unaryMethod, wrapperspb.Int64(n), &out, grpc.Header(&a.header), grpc.Trailer(&a.trailer))
	a.n = out.Value
	return a
}

// callStream makes a stream of one message each way.
func callStream(ctx context.Context, cc *grpc.ClientConn, n int64) (a answer) {
	stream, err := cc.NewStream(ctx, &streamDesc, streamMethod)
	if err != nil {
		return answer{err: err}
	}
	if err := send(stream, n); err != nil && err != io.EOF {
		return answer{err: err}
	}
	if err := stream.CloseSend(); err != nil {
		return answer{err: err}
	}
	a.n, a.err = receive(stream)
	if a.err == nil {
		if _, err := receive(stream); err != io.EOF {
			a.err = err
		}
	}
	a.header, _ = stream.Header()
	a.trailer = stream.Trailer()
	return a
}

var kinds = map[string]func(context.Context, *grpc.ClientConn, int64) answer{
	"unary":  callUnary,
	"stream": callStream,
}

func newLimiter(t testing.TB, limit ratelimit.Limit) *ratelimit.Keyed {
	t.Helper()
	l, err := ratelimit.New(ratelimit.Config{Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// oneKey is the key of everybody.
func oneKey(context.Context, string) string { return "all" }

// byUser takes the client's word for who it is.
func byUser(ctx context.Context, _ string) string {
	return strings.Join(metadata.ValueFromIncomingContext(ctx, "user"), "")
}

func as(ctx context.Context, user string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "user", user)
}

// outcome is what a client should see.
type outcome struct {
	code   codes.Code
	reason string
	wait   int64 // seconds at least, and a quarter and a second more at most; below 0, never; 0, nothing about it
	rule   string
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
	if strings.Contains(err.Error(), secret) || strings.Contains(st.Proto().String(), secret) || strings.Contains(st.Message(), "ratelimit") {
		t.Errorf("the internal error reaches the client: %v", err)
	}
	if text := st.Message(); text == "" || !strings.HasSuffix(text, ".") {
		t.Errorf("the text is %q", text)
	}
	var reason, rule string
	var wait time.Duration
	for _, detail := range st.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			reason, rule = detail.Reason, detail.Metadata["rule"]
			if detail.Domain != ratelimitgrpc.Domain {
				t.Errorf("domain %q", detail.Domain)
			}
		case *errdetails.RetryInfo:
			wait = detail.RetryDelay.AsDuration()
		default:
			t.Errorf("unexpected detail %T", detail)
		}
	}
	if reason != want.reason || rule != want.rule {
		t.Errorf("reason %q and rule %q, want %q and %q", reason, rule, want.reason, want.rule)
	}
	least, most := time.Duration(want.wait)*time.Second, time.Duration(want.wait+want.wait/4+1)*time.Second
	if want.wait <= 0 {
		least, most = 0, 0
	}
	if wait < least || wait > most || wait%time.Second != 0 {
		t.Errorf("RetryInfo says %v, want %v to %v", wait, least, most)
	}
	if trailer == nil {
		return
	}
	var pushback []string
	switch {
	case want.wait > 0:
		pushback = []string{strconv.FormatInt(wait.Milliseconds(), 10)}
	case want.wait < 0:
		pushback = []string{"-1"}
	}
	if got := trailer.Get("grpc-retry-pushback-ms"); !slices.Equal(got, pushback) {
		t.Errorf("the trailer says %q, want %q", got, pushback)
	}
}

// fake is a limiter whose answers are given.
type fake struct {
	mu    sync.Mutex
	d     ratelimit.Decision
	err   error
	first []bool // whether OK, of the first ones, in place of d's
	asked []int
	keys  []string
}

func (f *fake) AllowN(_ context.Context, key string, n int) (ratelimit.Decision, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked, f.keys = append(f.asked, n), append(f.keys, key)
	d := f.d
	if i := len(f.asked) - 1; i < len(f.first) {
		d.OK = f.first[i]
	}
	return d, f.err
}

func (*fake) Return(context.Context, string, int) error { return nil }
