package healthgrpc_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ballast-go/ballast/health"
	"github.com/ballast-go/ballast/health/healthgrpc"
)

// tokens is a service with one method, a stream that the handler serves.
func tokens(s *grpc.Server, handler func(grpc.ServerStream) error) {
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "test.Tokens",
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{
			StreamName:    "Generate",
			ServerStreams: true,
			Handler: func(_ any, stream grpc.ServerStream) error {
				if err := stream.RecvMsg(new(emptypb.Empty)); err != nil {
					return err
				}
				return handler(stream)
			},
		}},
	}, struct{}{})
}

// generation is Serve with a gRPC server, which has a stream open.
type generation struct {
	h         *health.Health
	terminate context.CancelFunc
	result    chan error
	stream    grpc.ClientStream
}

func generate(t *testing.T, timeout time.Duration, handler func(grpc.ServerStream) error) *generation {
	t.Helper()
	h := newHealth(t, health.Config{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.StreamInterceptor(healthgrpc.StreamServerInterceptor(h)))
	if err := healthgrpc.Register(s, h, healthgrpc.Config{}); err != nil {
		t.Fatal(err)
	}
	tokens(s, handler)
	ctx, terminate := context.WithCancel(context.Background())
	t.Cleanup(terminate)
	g := &generation{h: h, terminate: terminate, result: make(chan error, 1)}
	go func() {
		g.result <- health.Serve(ctx, h, health.ServeConfig{
			Servers:         []health.Server{{Listener: l, GRPC: s}},
			ShutdownTimeout: timeout,
		})
	}()
	g.stream, err = dial(t, l.Addr().String()).NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, "/test.Tokens/Generate")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(g.stream.SendMsg(new(emptypb.Empty)), g.stream.CloseSend()); err != nil {
		t.Fatal(err)
	}
	return g
}

// rest receives all there is, and how it ends.
func (g *generation) rest() (string, error) {
	var all []string
	for {
		m := new(wrapperspb.StringValue)
		if err := g.stream.RecvMsg(m); err != nil {
			return strings.Join(all, " "), err
		}
		all = append(all, m.Value)
	}
}

func TestStreamSendsLastWordsBeforeTheCut(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	g := generate(t, 2*time.Second, func(stream grpc.ServerStream) error {
		ctx := stream.Context()
		_ = stream.SendMsg(wrapperspb.String("hello"))
		close(begun)
		<-ctx.Done()
		if cause := context.Cause(ctx); !errors.Is(cause, health.ErrDraining) {
			t.Errorf("the cause is %v", cause)
		}
		_ = stream.SendMsg(wrapperspb.String("draining"))
		return ctx.Err()
	})
	<-begun
	g.terminate()
	got, err := g.rest()
	wantCode(t, "the stream", err, codes.Unavailable)
	if got != "hello draining" || !strings.Contains(err.Error(), "The service is shutting down.") {
		t.Errorf("the client saw %q, then %v", got, err)
	}
	if err := <-g.result; err != nil {
		t.Errorf("Serve = %v", err)
	}
}

// One that heeds nothing is cut by Stop, and no client takes it for complete.
func TestStreamThatHeedsNothingIsCut(t *testing.T) {
	t.Parallel()
	begun, gone := make(chan struct{}), make(chan struct{})
	defer close(gone)
	g := generate(t, 200*time.Millisecond, func(stream grpc.ServerStream) error {
		_ = stream.SendMsg(wrapperspb.String("hello"))
		close(begun)
		<-gone
		return nil
	})
	<-begun
	g.terminate()
	got, err := g.rest()
	wantCode(t, "the stream", err, codes.Unavailable)
	if got != "hello" {
		t.Errorf("the client saw %q", got)
	}
	if err := <-g.result; !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "calls were cut") {
		t.Errorf("Serve = %v", err)
	}
}

func TestStreamsThatEndByThemselves(t *testing.T) {
	t.Parallel()
	for _, own := range []error{nil, io.ErrUnexpectedEOF} {
		begun, finish := make(chan struct{}), make(chan struct{})
		g := generate(t, 10*time.Second, func(stream grpc.ServerStream) error {
			close(begun)
			<-finish
			_ = stream.SendMsg(wrapperspb.String("all of it"))
			return own
		})
		<-begun
		g.terminate()
		<-g.h.Draining()
		close(finish)
		got, err := g.rest()
		if got != "all of it" || (own == nil) != errors.Is(err, io.EOF) {
			t.Errorf("the client saw %q, then %v", got, err)
		}
		if err := <-g.result; err != nil {
			t.Errorf("Serve = %v", err)
		}
	}
}
