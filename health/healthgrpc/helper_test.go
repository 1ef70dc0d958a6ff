package healthgrpc_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/health"
	"github.com/ballast-go/ballast/health/healthgrpc"
)

const (
	serving    = healthpb.HealthCheckResponse_SERVING
	notServing = healthpb.HealthCheckResponse_NOT_SERVING
	unknown    = healthpb.HealthCheckResponse_SERVICE_UNKNOWN
)

// predictor is a name of Config.Services.
const predictor = "inference.v1.Predictor"

var config = healthgrpc.Config{Services: []string{predictor}}

// switchable is a check whose outcome the test sets.
type switchable struct{ off atomic.Bool }

func (s *switchable) check(context.Context) error {
	if s.off.Load() {
		return errors.New("dial tcp 10.1.2.3:6379: secret")
	}
	return nil
}

func newHealth(t testing.TB, c health.Config) *health.Health {
	t.Helper()
	c.DrainDelay = -1
	h, err := health.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return h
}

// until waits for a state.
func until(t testing.TB, h *health.Health, want health.State) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for state := range h.Changes(ctx) {
		if state == want {
			return
		}
	}
	t.Fatalf("not %v within a minute", want)
}

// server is a real gRPC server on the loopback.
type server struct {
	*grpc.Server
	addr string
	cc   *grpc.ClientConn
}

// serve starts a server that has h, and a client of it.
func serve(t testing.TB, h *health.Health, c healthgrpc.Config, options ...grpc.ServerOption) *server {
	t.Helper()
	return serveAs(t, h, c, grpc.NewServer(options...))
}

// serveAs does so with a server that may have other services as well.
func serveAs(t testing.TB, h *health.Health, c healthgrpc.Config, s *grpc.Server) *server {
	t.Helper()
	if err := healthgrpc.Register(s, h, c); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Errorf("serve: %v", err)
		}
	})
	return &server{s, l.Addr().String(), dial(t, l.Addr().String())}
}

func dial(t testing.TB, addr string) *grpc.ClientConn {
	t.Helper()
	// NewClient came in 1.63, and tests are no reason for a higher floor.
	cc, err := grpc.Dial(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return cc
}

func (s *server) check(t testing.TB, name string) (healthpb.HealthCheckResponse_ServingStatus, error) {
	resp, err := healthpb.NewHealthClient(s.cc).Check(t.Context(), &healthpb.HealthCheckRequest{Service: name})
	return resp.GetStatus(), err
}

func (s *server) watch(t testing.TB, name string) healthpb.Health_WatchClient {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	w, err := healthpb.NewHealthClient(s.cc).Watch(ctx, &healthpb.HealthCheckRequest{Service: name})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// next is what a Watch says next.
func next(t testing.TB, w healthpb.Health_WatchClient, want healthpb.HealthCheckResponse_ServingStatus) {
	t.Helper()
	resp, err := w.Recv()
	if err != nil || resp.Status != want {
		t.Errorf("Watch said %v, %v; want %v", resp.GetStatus(), err, want)
	}
}

func wantCode(t testing.TB, what string, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}
