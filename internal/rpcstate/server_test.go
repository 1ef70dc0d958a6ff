package rpcstate_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/ballast-go/ballast/internal/rpcstate"
	"github.com/ballast-go/ballast/internal/rpctest"
)

var desc = grpc.StreamDesc{StreamName: "C", ServerStreams: true, ClientStreams: true}

// newServer returns a server of the method C, a stream, which handler serves.
func newServer(handler func(grpc.ServerStream) error, opts ...grpc.ServerOption) *grpc.Server {
	s := grpc.NewServer(opts...)
	served := desc
	served.Handler = func(_ any, stream grpc.ServerStream) error { return handler(stream) }
	s.RegisterService(&grpc.ServiceDesc{ServiceName: "a.B", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{served}}, nil)
	return s
}

// call sends a message and reads the end.
func call(ctx context.Context, cc *grpc.ClientConn) error {
	stream, err := cc.NewStream(ctx, &desc, method)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(new(emptypb.Empty)); err != nil && err != io.EOF {
		return err
	}
	_ = stream.CloseSend()
	for {
		if err := stream.RecvMsg(new(emptypb.Empty)); err != nil {
			return err
		}
	}
}

// The code in the record is the one that gRPC sends.
func TestCode(t *testing.T) {
	var fails error
	o := rpctest.NewObserver()
	s := newServer(func(grpc.ServerStream) error { return fails }, o.Server()...)
	l := bufconn.Listen(1 << 16)
	go func() { _ = s.Serve(l) }()
	defer s.Stop()
	cc, err := grpc.Dial("passthrough:///bufconn", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	for _, fails = range []error{
		nil, io.EOF, context.Canceled, context.DeadlineExceeded, fmt.Errorf("x: %w", context.DeadlineExceeded),
		status.Error(codes.NotFound, "x"), fmt.Errorf("x: %w", status.Error(codes.Aborted, "x")),
		errors.Join(io.EOF, status.Error(codes.DataLoss, "x")), okError{}, fmt.Errorf("x: %w", okError{}), noError{}, status.Error(77, "x"),
	} {
		got := call(t.Context(), cc)
		want := status.Code(got)
		if got == io.EOF {
			want = codes.OK
		}
		if rec := o.Record(t); codes.Code(rec.Code) != want {
			t.Errorf("%v: the record has %v, the client %v", fails, codes.Code(rec.Code), want)
		}
	}
}

type okError struct{}

func (okError) Error() string              { return "x" }
func (okError) GRPCStatus() *status.Status { return status.New(codes.OK, "") }

type noError struct{}

func (noError) Error() string              { return "x" }
func (noError) GRPCStatus() *status.Status { return nil }

// requests is an HTTP observer.
type requests struct{ ended chan reqstate.Record }

func (requests) Begin(*reqstate.State, http.ResponseWriter, *http.Request) {}
func (q requests) Finish(rec *reqstate.Record)                             { q.ended <- *rec }

// Behind HTTP middlewares, by grpc.Server.ServeHTTP, a call has a State of its own, and
// the request that it came with has the other.
func TestServeHTTP(t *testing.T) {
	o, q := rpctest.NewObserver(), requests{make(chan reqstate.Record, 1)}
	s := newServer(func(stream grpc.ServerStream) error {
		if rec := reqstate.FromContext(stream.Context()).Record(); rec.RPC != method || rec.Method != "" {
			t.Errorf("the handler's State is of %q %q", rec.RPC, rec.Method)
		}
		if err := stream.SendMsg(new(emptypb.Empty)); err != nil {
			t.Error(err)
		}
		return status.Error(codes.NotFound, "x")
	}, o.Server()...)
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { reqstate.Serve(w, r, s, q) }))
	web.EnableHTTP2 = true
	web.StartTLS()
	defer web.Close()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	cc, err := grpc.Dial(strings.TrimPrefix(web.URL, "https://"), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots})))
	if err != nil {
		t.Fatal(err)
	}
	if err := call(t.Context(), cc); status.Code(err) != codes.NotFound {
		t.Error(err)
	}
	rec, over := o.Record(t), <-q.ended
	if rec.Code != uint32(codes.NotFound) || rec.Status != 404 || rec.Stream.Chunks != 1 || rec.Remote == "" {
		t.Errorf("the call: %+v", rec)
	}
	if over.Method != "POST" || over.Status != 200 || over.RPC != "" || over.Remote != rec.Remote {
		t.Errorf("the request: %+v", over)
	}
	if err := cc.Close(); err != nil {
		t.Error(err)
	}
}

// A client's stream is over once, however it is over.
func TestWatch(t *testing.T) {
	stop := errors.New("stop")
	for name, tt := range map[string]struct {
		stream fakeClient
		one    bool
		use    func(s grpc.ClientStream, cancel func())
		want   string
	}{
		"read":              {fakeClient{n: 2}, false, func(s grpc.ClientStream, _ func()) { read(s) }, "<nil> 0 2"},
		"one answer":        {fakeClient{n: 2}, true, func(s grpc.ClientStream, _ func()) { _, _ = s.SendMsg(nil), s.RecvMsg(nil) }, "<nil> 1 1"},
		"fails":             {fakeClient{end: stop}, false, func(s grpc.ClientStream, _ func()) { read(s); read(s) }, "stop 0 0"},
		"cannot send":       {fakeClient{send: stop}, false, func(s grpc.ClientStream, _ func()) { _ = s.SendMsg(nil) }, "stop 0 0"},
		"server is gone":    {fakeClient{send: io.EOF, end: stop}, false, func(s grpc.ClientStream, _ func()) { _ = s.SendMsg(nil); read(s) }, "stop 0 0"},
		"canceled":          {fakeClient{n: 9}, false, func(s grpc.ClientStream, cancel func()) { _ = s.RecvMsg(nil); cancel() }, "context canceled 0 1"},
		"read and canceled": {fakeClient{}, false, func(s grpc.ClientStream, cancel func()) { read(s); cancel() }, "<nil> 0 0"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan string, 9)
		s := rpcstate.Watch(ctx, &tt.stream, &grpc.StreamDesc{ServerStreams: !tt.one}, func(err error, sent, received int64) {
			ended <- fmt.Sprint(err, sent, received)
		})
		tt.use(s, cancel)
		if got := <-ended; got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
		cancel()
		if len(ended) > 0 {
			t.Errorf("%s: over again: %s", name, <-ended)
		}
	}
}

func read(s grpc.ClientStream) {
	for s.RecvMsg(nil) == nil {
	}
}

type fakeClient struct {
	grpc.ClientStream
	n    int
	send error
	end  error // io.EOF if nil
}

func (f *fakeClient) SendMsg(any) error { return f.send }
func (f *fakeClient) RecvMsg(any) error {
	if f.n--; f.n >= 0 {
		return nil
	}
	if f.end != nil {
		return f.end
	}
	return io.EOF
}
