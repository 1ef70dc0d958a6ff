package authgrpc_test

import (
	"context"
	"errors"
	"io"
	"net"
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

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authgrpc"
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

// answer is all that a client sees of a call.
type answer struct {
	n               int64
	err             error
	header, trailer metadata.MD
}

func callUnary(ctx context.Context, cc *grpc.ClientConn, n int64) (a answer) {
	var out wrapperspb.Int64Value
	a.err = cc.Invoke(ctx, unaryMethod, wrapperspb.Int64(n), &out, options(ctx, grpc.Header(&a.header), grpc.Trailer(&a.trailer))...)
	a.n = out.Value
	return a
}

// callStream makes a stream of one message each way.
func callStream(ctx context.Context, cc *grpc.ClientConn, n int64) (a answer) {
	stream, err := cc.NewStream(ctx, &streamDesc, streamMethod, options(ctx)...)
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

// intercept makes both interceptors.
func intercept(a auth.Authenticator, cfg authgrpc.ServerConfig) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(authgrpc.UnaryServerInterceptor(a, cfg)),
		grpc.ChainStreamInterceptor(authgrpc.StreamServerInterceptor(a, cfg)),
	}
}

// require makes both of those.
func require(az auth.Authorizer, cfg authgrpc.RequireConfig) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(authgrpc.RequireUnary(az, cfg)),
		grpc.ChainStreamInterceptor(authgrpc.RequireStream(az, cfg)),
	}
}

// secret is a credential, and in every internal text.
const secret = "hunter2"

// alice is who has the token and the key "good".
var alice = &auth.Principal{Subject: "alice", Method: "test"}

// tokens knows alice, and what else tests need.
func tokens(_ context.Context, c auth.Credentials) (*auth.Principal, error) {
	if c.At.IsZero() {
		return nil, errors.New("no time")
	}
	switch c.Token + c.APIKey {
	case "":
		return nil, auth.ErrNoCredential
	case "good":
		return alice, nil
	case "soon":
		return &auth.Principal{Subject: "soon", ExpiresAt: time.Now().Add(time.Minute)}, nil
	case "down":
		return nil, &auth.Error{Cause: auth.ErrUnavailable, Reason: secret, RetryAfter: 5 * time.Second}
	case "unread":
		return nil, auth.ErrNoCredential
	case "nobody":
		return nil, nil
	case "broken":
		return nil, errors.New(secret)
	case "slow":
		return nil, context.DeadlineExceeded
	case "panic":
		panic(secret)
	}
	return nil, &auth.Error{Cause: auth.ErrInvalid, Reason: secret}
}

// with returns a context with metadata.
func with(ctx context.Context, pairs ...string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}

func bearing(ctx context.Context, token string) context.Context {
	return with(ctx, "authorization", "Bearer "+token)
}

// whoami answers 1 if the caller is alice, 2 if it is somebody else, and 0 if it
// is nobody.
func who(ctx context.Context) int64 {
	switch p, ok := auth.PrincipalFromContext(ctx); {
	case !ok:
		return 0
	case p == alice:
		return 1
	}
	return 2
}

var whoami = numbers{
	unary: func(ctx context.Context, _ int64) (int64, error) { return who(ctx), nil },
	stream: func(stream grpc.ServerStream) error {
		if _, err := receive(stream); err != nil {
			return err
		}
		return send(stream, who(stream.Context()))
	},
}

// outcome is what a client should see.
type outcome struct {
	code   codes.Code
	reason string
	scope  string
	later  bool // there is a RetryInfo and a pushback above 0
}

// check compares what the client got.
func (want outcome) check(t *testing.T, name string, a answer) {
	t.Helper()
	st, ok := status.FromError(a.err)
	if !ok || st.Code() != want.code {
		t.Errorf("%s: the client got %v, want code %v", name, a.err, want.code)
		return
	}
	if strings.Contains(st.Proto().String(), secret) || strings.Contains(st.Message(), "auth:") {
		t.Errorf("%s: the internal error reaches the client: %v", name, a.err)
	}
	var reason, scope string
	var wait time.Duration
	for _, detail := range st.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			reason, scope = detail.Reason, detail.Metadata["scope"]
			if detail.Domain != authgrpc.Domain {
				t.Errorf("%s: domain %q", name, detail.Domain)
			}
		case *errdetails.RetryInfo:
			wait = detail.RetryDelay.AsDuration()
		}
	}
	if reason != want.reason || scope != want.scope {
		t.Errorf("%s: reason %q and scope %q, want %q and %q", name, reason, scope, want.reason, want.scope)
	}
	if pushback := a.trailer.Get("grpc-retry-pushback-ms"); want.later != (wait >= time.Second) || want.later != (len(pushback) == 1 && pushback[0] != "-1") {
		t.Errorf("%s: RetryInfo %v, pushback %q", name, wait, pushback)
	}
}

// journal is an Auditor.
type journal struct {
	mu     sync.Mutex
	events []string
}
