package metricsgrpc_test

import (
	"context"
	"runtime"
	"testing"

	"google.golang.org/grpc"

	"github.com/ballast-go/ballast/metrics"
	"github.com/ballast-go/ballast/metrics/metricsgrpc"
)

// A stream that was begun is counted as over, too, where what would have opened it panics.
func TestClientStreamThatNeverOpens(t *testing.T) {
	m := newMetrics(t, metrics.Config{})
	stream := metricsgrpc.StreamClientInterceptor(m)
	for _, leave := range []func(){func() { panic("x") }, runtime.Goexit} {
		left := make(chan any)
		go func() {
			defer func() { left <- recover() }()
			_, _ = stream(t.Context(), &watch, nil, service+"Watch", func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
				leave()
				return nil, nil
			})
		}()
		<-left
	}
	check(t, m, "grpc_client_handled", map[string]float64{handledByClient("server_stream", "Watch", "Internal"): 2})
}
