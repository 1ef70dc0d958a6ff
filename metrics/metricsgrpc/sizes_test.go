package metricsgrpc_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ballast-go/ballast/metrics"
	"github.com/ballast-go/ballast/metrics/metricsgrpc"
)

// sizesOf returns the sums of m's histograms that begin with prefix.
func sizesOf(t *testing.T, m *metrics.Metrics, prefix string) map[string]float64 {
	t.Helper()
	families, err := m.Config().Gatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, family := range families {
		if strings.HasPrefix(family.GetName(), prefix) {
			for _, metric := range family.Metric {
				got[family.GetName()] += metric.GetHistogram().GetSampleSum()
			}
		}
	}
	return got
}

// Both ends see the same sizes, without compression.
func TestSizes(t *testing.T) {
	for _, tt := range []struct {
		names                                          metrics.Names
		serverIn, serverOut, clientIn, clientOut, only string
	}{
		{metrics.Guide, "grpc_server_msg_received_bytes", "grpc_server_msg_sent_bytes", "grpc_client_msg_received_bytes", "grpc_client_msg_sent_bytes",
			`grpc_server_msg_sent_bytes{grpc_method="Chat",grpc_service="test.Numbers"}`},
		{metrics.OTel, "rpc_server_request_size_bytes", "rpc_server_response_size_bytes", "rpc_client_response_size_bytes", "rpc_client_request_size_bytes",
			`rpc_server_response_size_bytes{rpc_method="test.Numbers/Chat",rpc_system_name="grpc"}`},
	} {
		m := newMetrics(t, metrics.Config{Names: tt.names})
		cc, stop := serve(t, numbers{stream: func(stream grpc.ServerStream) error {
			for {
				in := new(wrapperspb.StringValue)
				if err := stream.RecvMsg(in); err != nil {
					return nil
				}
				if err := stream.SendMsg(wrapperspb.String(in.Value + in.Value)); err != nil {
					return err
				}
			}
		}}, []grpc.ServerOption{grpc.StatsHandler(metricsgrpc.NewServerHandler(m)), grpc.StatsHandler(metricsgrpc.NewServerHandler(m))},
			grpc.WithStatsHandler(metricsgrpc.NewClientHandler(m)))
		stream, err := cc.NewStream(t.Context(), &chat, service+"Chat")
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{10, 100} { // and 2 of protobuf's
			if err := stream.SendMsg(wrapperspb.String(strings.Repeat("x", n))); err != nil {
				t.Fatal(err)
			}
			if err := stream.RecvMsg(new(wrapperspb.StringValue)); err != nil {
				t.Fatal(err)
			}
		}
		_ = stream.CloseSend()
		_ = stream.RecvMsg(new(wrapperspb.StringValue))
		stop()
		got := sizesOf(t, m, strings.SplitAfter(tt.serverIn, "_")[0])
		for name, want := range map[string]float64{tt.serverIn: 2 * 114, tt.serverOut: 2 * 225, tt.clientIn: 225, tt.clientOut: 114} {
			if got[name] != want { // the server has two of the handler, as if there were two servers
				t.Errorf("%s is %v, want %v", name, got[name], want)
			}
		}
		if n := series(t, m, tt.serverOut)[tt.only]; n != 4 {
			t.Errorf("%v", series(t, m, tt.serverOut))
		}
	}
}

// gRPC tells of calls of methods that there are not: a client cannot make series of
// them, nor use up the room of others.
func TestSizesOfUnknownMethods(t *testing.T) {
	m := newMetrics(t, metrics.Config{MaxSeries: 4})
	cc, stop := serve(t, numbers{}, []grpc.ServerOption{grpc.ChainUnaryInterceptor(pass), grpc.StatsHandler(metricsgrpc.NewServerHandler(m))})
	for i := range 20 {
		var out wrapperspb.Int64Value
		if err := cc.Invoke(t.Context(), fmt.Sprintf("/random/%d", i), wrapperspb.Int64(1), &out); status.Code(err) != codes.Unimplemented {
			t.Error(err)
		}
	}
	if _, err := call(t.Context(), cc, 1); err != nil {
		t.Error(err)
	}
	stop()
	check(t, m, "grpc_server_msg_received_bytes", map[string]float64{
		`grpc_server_msg_received_bytes{grpc_method="Unary",grpc_service="test.Numbers"}`: 1,
	})
}
