package metricsgrpc_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/metrics"
	"github.com/ballast-go/ballast/metrics/metricsgrpc"
)

func handledByClient(kind, method, code string) string {
	return "grpc_client" + handled(kind, method, code, "")[len("grpc_server"):]
}

func TestClient(t *testing.T) {
	m := newMetrics(t, metrics.Config{})
	cc, stop := serve(t, numbers{
		unary: func(_ context.Context, n int64) (int64, error) { return n, fails(n) },
		stream: func(stream grpc.ServerStream) error {
			if name, _ := grpc.Method(stream.Context()); name == service+upload.StreamName {
				return sums(stream)
			}
			return echoes(stream)
		},
	}, []grpc.ServerOption{grpc.ChainUnaryInterceptor(pass)}, watched(m)...)
	for n := range int64(3) {
		_, _ = call(t.Context(), cc, n)
	}
	for desc, n := range map[*grpc.StreamDesc]int{&upload: 3, &watch: 1, &chat: 2} {
		if _, err := exchange(t.Context(), cc, *desc, n); err != nil {
			t.Errorf("%s: %v", desc.StreamName, err)
		}
	}
	stop()
	want := map[string]float64{
		handledByClient("unary", "Unary", "OK"):               2,
		handledByClient("unary", "Unary", "DeadlineExceeded"): 1,
		handledByClient("client_stream", "Upload", "OK"):      1,
		handledByClient("server_stream", "Watch", "OK"):       1,
		handledByClient("bidi_stream", "Chat", "OK"):          1,
	}
	for what, by := range map[string][4]float64{
		"started_total":      {3, 1, 1, 1},
		"handling_seconds":   {3, 1, 1, 1},
		"msg_received_total": {2, 1, 1, 2},
		"msg_sent_total":     {3, 3, 1, 2},
	} {
		for i, of := range [][2]string{{"unary", "Unary"}, {"client_stream", "Upload"}, {"server_stream", "Watch"}, {"bidi_stream", "Chat"}} {
			want["grpc_client_"+what+labels(of[0], of[1])] = by[i]
		}
	}
	check(t, m, "grpc_", want)
}

func pass(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	return handler(ctx, req)
}

// A stream is counted once: when it fails, when its context ends, though nobody looks,
// or when it could not be made.
func TestClientStreamEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(t *testing.T, stream grpc.ClientStream, cancel func())
		want string
	}{
		"read to its error": {func(t *testing.T, stream grpc.ClientStream, _ func()) {
			if err := send(stream, -1); err != nil {
				t.Error(err)
			}
			for range 2 {
				if _, err := receive(stream); status.Code(err) != codes.Aborted {
					t.Error(err)
				}
			}
		}, "Aborted"},
		"canceled": {func(_ *testing.T, _ grpc.ClientStream, cancel func()) { cancel() }, "Canceled"},
		"canceled, and read": {func(_ *testing.T, stream grpc.ClientStream, cancel func()) {
			cancel()
			_, _ = receive(stream)
		}, "Canceled"},
		"read, then canceled": {func(t *testing.T, stream grpc.ClientStream, cancel func()) {
			_ = stream.CloseSend()
			if _, err := receive(stream); err != io.EOF {
				t.Error(err)
			}
			cancel()
		}, "OK"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMetrics(t, metrics.Config{})
				cc, stop := serve(t, numbers{stream: func(stream grpc.ServerStream) error {
					for {
						n, err := receive(stream)
						if n < 0 {
							return status.Error(codes.Aborted, "x")
						}
						if err == io.EOF {
							return nil
						}
						if err != nil {
							return err
						}
					}
				}}, nil, watched(m)...)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				stream, err := cc.NewStream(ctx, &chat, service+"Chat")
				if err != nil {
					t.Fatal(err)
				}
				tt.end(t, stream, cancel)
				synctest.Wait()
				check(t, m, "grpc_client_handled", map[string]float64{handledByClient("bidi_stream", "Chat", tt.want): 1})
				cancel()
				stop()
				check(t, m, "grpc_client_handled", map[string]float64{handledByClient("bidi_stream", "Chat", tt.want): 1})
			})
		})
	}
}

func TestClientFails(t *testing.T) {
	m := newMetrics(t, metrics.Config{})
	unary, stream := metricsgrpc.UnaryClientInterceptor(m), metricsgrpc.StreamClientInterceptor(m)
	if err := unary(t.Context(), service+"Unary", nil, nil, nil, func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
		return errors.New("x")
	}); err == nil {
		t.Error("no error")
	}
	if _, err := stream(t.Context(), &watch, nil, service+"Watch", func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
		return nil, status.Error(codes.Unavailable, "x")
	}); err == nil {
		t.Error("no error")
	}
	for _, leave := range []func(){func() { panic("x") }, runtime.Goexit} {
		left := make(chan any)
		go func() {
			defer func() { left <- recover() }()
			_ = unary(t.Context(), service+"Unary", nil, nil, nil, func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
				leave()
				return nil
			})
		}()
		<-left
	}
	check(t, m, "grpc_client_handled", map[string]float64{
		handledByClient("unary", "Unary", "Unknown"):             1,
		handledByClient("unary", "Unary", "Internal"):            2,
		handledByClient("server_stream", "Watch", "Unavailable"): 1,
	})
}

// OpenTelemetry has all of a client's failures as errors, but what it canceled is no
// failure.
func TestClientOTel(t *testing.T) {
	m := newMetrics(t, metrics.Config{Names: metrics.OTel})
	unary := metricsgrpc.UnaryClientInterceptor(m)
	for _, code := range []codes.Code{codes.OK, codes.Canceled, codes.NotFound} {
		_ = unary(t.Context(), service+"Unary", nil, nil, nil, func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
			return status.Error(code, "x")
		})
	}
	const of = `",rpc_method="test.Numbers/Unary",rpc_response_status_code="`
	check(t, m, "rpc_", map[string]float64{
		`rpc_client_call_duration_seconds{error_type="` + of + `OK",rpc_system_name="grpc"}`:                 1,
		`rpc_client_call_duration_seconds{error_type="` + of + `CANCELLED",rpc_system_name="grpc"}`:          1,
		`rpc_client_call_duration_seconds{error_type="NOT_FOUND` + of + `NOT_FOUND",rpc_system_name="grpc"}`: 1,
	})
}
