package batchinggrpc_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ballast-go/ballast/batching"
	"github.com/ballast-go/ballast/batching/batchinggrpc"
)

// The service has one method of each kind, with the number as its message.
const (
	unaryMethod  = "/test.Numbers/Unary"
	streamMethod = "/test.Numbers/Stream"
)

var streamDesc = grpc.StreamDesc{StreamName: "Stream", ServerStreams: true}

// numbers is the function behind both methods.
type numbers func(ctx context.Context, n int64) (int64, error)

// register does by hand what generated code does.
func (f numbers) register(s *grpc.Server) {
	stream := streamDesc
	stream.Handler = func(_ any, stream grpc.ServerStream) error {
		var in wrapperspb.Int64Value
		if err := stream.RecvMsg(&in); err != nil {
			return err
		}
		n, err := f(stream.Context(), in.Value)
		if err != nil {
			return err
		}
		return stream.SendMsg(wrapperspb.Int64(n))
	}
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "test.Numbers",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Unary",
			Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				var in wrapperspb.Int64Value
				if err := decode(&in); err != nil {
					return nil, err
				}
				n, err := f(ctx, in.Value)
				if err != nil {
					return nil, err
				}
				return wrapperspb.Int64(n), nil
			},
		}},
		Streams: []grpc.StreamDesc{stream},
	}, f)
}

// answer is all that a client sees of a call.
type answer struct {
	n       int64
	err     error
	trailer metadata.MD
}

func callUnary(ctx context.Context, cc *grpc.ClientConn, n int64) (a answer) {
	var out wrapperspb.Int64Value
	a.err = cc.Invoke(ctx, unaryMethod, wrapperspb.Int64(n), &out, grpc.Trailer(&a.trailer))
	a.n = out.Value
	return a
}

func callStream(ctx context.Context, cc *grpc.ClientConn, n int64) (a answer) {
	stream, err := cc.NewStream(ctx, &streamDesc, streamMethod)
	if err != nil {
		return answer{err: err}
	}
	var out wrapperspb.Int64Value
	if a.err = stream.SendMsg(wrapperspb.Int64(n)); a.err == nil {
		if a.err = stream.CloseSend(); a.err == nil {
			a.err = stream.RecvMsg(&out)
		}
	}
	a.n, a.trailer = out.Value, stream.Trailer()
	return a
}

var kinds = map[string]func(context.Context, *grpc.ClientConn, int64) answer{
	"unary":  callUnary,
	"stream": callStream,
}

// serve starts a server of f on l and returns a client of it. Both end with t.
func serve(t *testing.T, l net.Listener, f numbers, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	server := grpc.NewServer()
	f.register(server)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	opts = append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))
	// NewClient came in 1.63, and tests are no reason for a higher floor.
	cc, err := grpc.Dial("passthrough:///"+l.Addr().String(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cc.Close(); err != nil {
			t.Errorf("close the client: %v", err)
		}
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return cc
}

func loopback(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func newBatcher(t *testing.T, run func(context.Context, []int64, []batching.Slot[int64]) error, cfg batching.Config[int64]) *batching.Batcher[int64, int64] {
	t.Helper()
	b, err := batching.New(run, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return b
}

// outcome is what a client should see.
type outcome struct {
	code   codes.Code
	reason string // with a pushback, or without both
	wait   int64  // seconds at least, and a quarter and a second more at most
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
	if strings.Contains(err.Error(), secret) || strings.Contains(st.Proto().String(), secret) || strings.Contains(err.Error(), "batching") {
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
			if detail.Domain != batchinggrpc.Domain {
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
		pushback = []string{milliseconds(wait)}
	}
	if got := trailer.Get("grpc-retry-pushback-ms"); !slices.Equal(got, pushback) {
		t.Errorf("the trailer says %q, want %q, which is RetryInfo's", got, pushback)
	}
}
