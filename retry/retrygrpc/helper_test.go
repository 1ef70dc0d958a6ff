package retrygrpc_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ballast-go/ballast/retry"
	"github.com/ballast-go/ballast/retry/retrygrpc"
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

// again makes both of a client's interceptors.
func again(r *retry.Retrier, cfg retrygrpc.ClientConfig) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithUnaryInterceptor(retrygrpc.UnaryClientInterceptor(r, cfg)),
		grpc.WithStreamInterceptor(retrygrpc.StreamClientInterceptor(r, cfg)),
		grpc.WithDisableRetry(),
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

const pause = 10 * time.Second

// every is a schedule of one pause.
type every time.Duration

func (d every) NextBackOff() time.Duration { return time.Duration(d) }
func (every) Reset()                       {}

// newRetrier makes three attempts with a pause between them, unless cfg says
// otherwise.
func newRetrier(t testing.TB, cfg retry.Config) *retry.Retrier {
	t.Helper()
	if cfg.Backoff == nil {
		cfg.Backoff = func() retry.Backoff { return every(pause) }
	}
	r, err := retry.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// secret is in every internal text.
const secret = "hunter2"

// bubble is t.Run where no time passes but what f waits for, and where no
// goroutine may be left.
func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// A visit is an attempt as the server sees it.
type visit struct {
	at       time.Duration // since start
	previous string        // the metadata
	attempt  int           // as the server's interceptor has it
	left     time.Duration // of its deadline, or 0
	sent     []int64       // by the client
}

// A flaky answers each method with what its next error is, or the sum of what it
// was sent.
type flaky struct {
	start  time.Time
	mu     sync.Mutex
	errs   []error // of the attempts, in turn; nil for the rest
	tell   func(ctx context.Context, n int) error
	visits []visit
}

func newFlaky(errs ...error) *flaky { return &flaky{start: time.Now(), errs: errs} }

func (f *flaky) numbers() numbers {
	return numbers{
		unary: func(ctx context.Context, n int64) (int64, error) { return n, f.visited(ctx, []int64{n}) },
		stream: func(stream grpc.ServerStream) error {
			var sent []int64
			var sum int64
			for {
				n, err := receive(stream)
				if err != nil {
					break
				}
				sent = append(sent, n)
				sum += n
			}
			if err := f.visited(stream.Context(), sent); err != nil {
				return err
			}
			return send(stream, sum)
		},
	}
}

// visited notes an attempt and returns its error.
func (f *flaky) visited(ctx context.Context, sent []int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := visit{at: time.Since(f.start), attempt: retry.Attempt(ctx), sent: sent,
		previous: strings.Join(metadata.ValueFromIncomingContext(ctx, "grpc-previous-rpc-attempts"), ",")}
	if d, ok := ctx.Deadline(); ok {
		v.left = time.Until(d)
	}
	f.visits = append(f.visits, v)
	n := len(f.visits)
	if f.tell != nil {
		if err := f.tell(ctx, n); err != nil {
			return err
		}
	}
	if n <= len(f.errs) {
		return f.errs[n-1]
	}
	return nil
}

// seen returns the visits, and forgets them.
func (f *flaky) seen() []visit {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.visits
	f.visits = nil
	return v
}

func down(text string) error { return status.Error(codes.Unavailable, text) }
