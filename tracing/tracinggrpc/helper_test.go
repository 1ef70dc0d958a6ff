package tracinggrpc_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const service = "/test.Numbers/"

var (
	watch = grpc.StreamDesc{StreamName: "Watch", ServerStreams: true}
	chat  = grpc.StreamDesc{StreamName: "Chat", ServerStreams: true, ClientStreams: true}
)

// numbers is what is behind the methods; nil answers with what it was sent.
type numbers struct {
	unary  func(ctx context.Context, n int64) (int64, error)
	stream func(stream grpc.ServerStream) error
}

func receive(stream interface{ RecvMsg(any) error }) (int64, error) {
	var in wrapperspb.Int64Value
	err := stream.RecvMsg(&in)
	return in.Value, err
}

func send(stream interface{ SendMsg(any) error }, n int64) error {
	return stream.SendMsg(wrapperspb.Int64(n))
}

// echoes sends each message back.
func echoes(stream grpc.ServerStream) error {
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
}

// register does by hand what generated code does.
func (f numbers) register(s *grpc.Server) {
	streams := []grpc.StreamDesc{watch, chat}
	for i := range streams {
		streams[i].Handler = func(_ any, stream grpc.ServerStream) error { return f.stream(stream) }
	}
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
				return interceptor(ctx, in, &grpc.UnaryServerInfo{FullMethod: service + "Unary"}, func(ctx context.Context, in any) (any, error) {
					n, err := f.unary(ctx, in.(*wrapperspb.Int64Value).Value)
					return wrapperspb.Int64(n), err
				})
			},
		}},
		Streams: streams,
	}, f)
}

// serve starts a server of f, in memory, and returns a client of it. stop ends both
// and waits for the handlers, so that all spans have ended.
func serve(t testing.TB, f numbers, server []grpc.ServerOption, client ...grpc.DialOption) (cc *grpc.ClientConn, stop func()) {
	t.Helper()
	if f.unary == nil {
		f.unary = func(_ context.Context, n int64) (int64, error) { return n, nil }
	}
	if f.stream == nil {
		f.stream = echoes
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // so that peers have addresses
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(server...)
	f.register(s)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	cc, err = grpc.Dial(l.Addr().String(), append(client, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		if err := cc.Close(); err != nil && status.Code(err) != codes.Canceled {
			t.Errorf("close the client: %v", err)
		}
		s.GracefulStop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(stop)
	return cc, stop
}

func call(ctx context.Context, cc *grpc.ClientConn, n int64) (int64, error) {
	var out wrapperspb.Int64Value
	err := cc.Invoke(ctx, service+"Unary", wrapperspb.Int64(n), &out)
	return out.Value, err
}
