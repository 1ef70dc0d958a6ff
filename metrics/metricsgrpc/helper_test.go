package metricsgrpc_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ballast-go/ballast/metrics"
	"github.com/ballast-go/ballast/metrics/metricsgrpc"
)

const service = "/test.Numbers/"

var (
	upload = grpc.StreamDesc{StreamName: "Upload", ClientStreams: true}
	watch  = grpc.StreamDesc{StreamName: "Watch", ServerStreams: true}
	chat   = grpc.StreamDesc{StreamName: "Chat", ServerStreams: true, ClientStreams: true}
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
	streams := []grpc.StreamDesc{upload, watch, chat}
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
// and waits for the handlers, so that all is counted.
func serve(t testing.TB, f numbers, server []grpc.ServerOption, client ...grpc.DialOption) (cc *grpc.ClientConn, stop func()) {
	t.Helper()
	if f.unary == nil {
		f.unary = func(_ context.Context, n int64) (int64, error) { return n, nil }
	}
	if f.stream == nil {
		f.stream = echoes
	}
	l := bufconn.Listen(1 << 16)
	s := grpc.NewServer(server...)
	f.register(s)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	cc, err := grpc.Dial("passthrough:///bufconn", append(client,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))...)
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

// newMetrics returns a Metrics of its own registry.
func newMetrics(t testing.TB, c metrics.Config) *metrics.Metrics {
	t.Helper()
	m, err := metrics.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// intercept makes both of a server's interceptors.
func intercept(m *metrics.Metrics, cfg metricsgrpc.ServerConfig) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(metricsgrpc.UnaryServerInterceptor(m, cfg)),
		grpc.ChainStreamInterceptor(metricsgrpc.StreamServerInterceptor(m, cfg)),
	}
}

// watched makes both of a client's.
func watched(m *metrics.Metrics) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(metricsgrpc.UnaryClientInterceptor(m)),
		grpc.WithChainStreamInterceptor(metricsgrpc.StreamClientInterceptor(m)),
	}
}

// series are the values of m's by name and labels, such as a_total{b="c"}; those of the
// histograms are their counts. Names that do not begin with prefix are left out.
func series(t testing.TB, m *metrics.Metrics, prefix string) map[string]float64 {
	t.Helper()
	families, err := m.Config().Gatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), prefix) {
			continue
		}
		for _, metric := range family.Metric {
			labels := make([]string, len(metric.Label))
			for i, l := range metric.Label {
				labels[i] = fmt.Sprintf("%s=%q", l.GetName(), l.GetValue())
			}
			value := metric.GetCounter().GetValue()
			if metric.Histogram != nil {
				value = float64(metric.Histogram.GetSampleCount())
			}
			got[family.GetName()+"{"+strings.Join(labels, ",")+"}"] = value
		}
	}
	return got
}

// check fails t if m's series that begin with prefix are others.
func check(t testing.TB, m *metrics.Metrics, prefix string, want map[string]float64) {
	t.Helper()
	got := series(t, m, prefix)
	for name, n := range want {
		if got[name] != n {
			t.Errorf("%s is %v, want %v", name, got[name], n)
		}
		delete(got, name)
	}
	for name, n := range got {
		t.Errorf("unexpected: %s is %v", name, n)
	}
}
