package logginggrpc_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/logging"
	"github.com/ballast-go/ballast/logging/logginggrpc"
)

func clients(l *logging.Logger, cfg logginggrpc.ClientConfig) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithUnaryInterceptor(logginggrpc.UnaryClientInterceptor(l, cfg)),
		grpc.WithStreamInterceptor(logginggrpc.StreamClientInterceptor(l, cfg)),
	}
}

func TestClientUnary(t *testing.T) {
	l, out := newLogger(t)
	cc, stop := serve(t, numbers{unary: func(_ context.Context, n int64) (int64, error) {
		if n == 2 {
			return 0, status.Error(codes.Unavailable, secret)
		}
		return n, nil
	}}, chain(l, logginggrpc.ServerConfig{}), clients(l, logginggrpc.ClientConfig{})...)
	_, _ = call(t.Context(), cc, 1)
	_, _ = call(t.Context(), cc, 2)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = call(ctx, cc, 3)
	stop()
	records := out.records(t, "call")
	if len(records) != 3 {
		t.Fatalf("logged %s", out)
	}
	for i, want := range []struct {
		code  float64
		level string
	}{{0, "INFO"}, {14, "WARN"}, {1, "INFO"}} {
		if m := records[i]; m["code"] != want.code || m["level"] != want.level || m["rpc"] != service+"Unary" || m["duration_ms"].(float64) < 0 {
			t.Errorf("%d: %v", i, m)
		}
	}
	if strings.Contains(out.String(), secret) {
		t.Errorf("logged %s", out)
	}
}

// A stream has one record, whichever way it ends.
func TestClientStream(t *testing.T) {
	var logged *lockedBuffer
	for name, tt := range map[string]struct {
		end     func(s grpc.ClientStream, cancel context.CancelFunc)
		code    float64
		in, out float64
	}{
		"read to the end": {func(s grpc.ClientStream, _ context.CancelFunc) {
			_ = s.CloseSend()
			if _, err := receive(s); err != io.EOF {
				t.Error(err)
			}
		}, 0, 2, 2},
		"nothing sent": {func(s grpc.ClientStream, _ context.CancelFunc) {
			if err := s.SendMsg("no message"); err == nil {
				t.Error("sent")
			}
			if n := len(logged.records(t, "call")); n != 1 { // whoever has no reason to receive any more
				t.Errorf("%d records", n)
			}
		}, 13, 2, 2},
		"canceled": {func(_ grpc.ClientStream, cancel context.CancelFunc) { cancel() }, 1, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			l, out := newLogger(t)
			logged = out
			quiet, _ := newLogger(t)
			cc, stop := serve(t, numbers{}, chain(quiet, logginggrpc.ServerConfig{}), clients(l, logginggrpc.ClientConfig{})...)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s, err := cc.NewStream(ctx, &chat, service+"Chat")
			if err != nil {
				t.Fatal(err)
			}
			for n := range 2 {
				if err := send(s, int64(n)); err != nil {
					t.Fatal(err)
				}
				if _, err := receive(s); err != nil {
					t.Fatal(err)
				}
			}
			tt.end(s, cancel)
			_, _ = receive(s)
			stop()
			records := out.records(t, "call")
			if len(records) != 1 {
				t.Fatalf("logged %s", out)
			}
			if m := records[0]; m["code"] != tt.code || m["messages_in"] != tt.in || m["messages_out"] != tt.out {
				t.Errorf("logged %v", m)
			}
		})
	}
}

// The id of the request on whose behalf a call is made goes along.
func TestClientRequestID(t *testing.T) {
	l, _ := newLogger(t)
	var got []string
	back, stopBack := serve(t, numbers{unary: func(ctx context.Context, n int64) (int64, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		got = append(got, md.Get("x-request-id")...)
		return n, nil
	}}, chain(l, logginggrpc.ServerConfig{}), clients(l, logginggrpc.ClientConfig{RequestIDMetadata: "X-Request-ID"})...)
	var id string
	front, stopFront := serve(t, numbers{unary: func(ctx context.Context, n int64) (int64, error) {
		id = logging.RequestID(ctx)
		if _, err := call(metadata.AppendToOutgoingContext(ctx, "x-request-id", "own"), back, n); err != nil {
			return 0, err
		}
		return call(ctx, back, n)
	}}, chain(l, logginggrpc.ServerConfig{}))
	if _, err := call(t.Context(), front, 1); err != nil {
		t.Fatal(err)
	}
	stopFront()
	stopBack()
	if len(got) != 2 || got[0] != "own" || got[1] != id || id == "" {
		t.Errorf("the other side got %q of %q", got, id)
	}
}
