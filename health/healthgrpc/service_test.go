package healthgrpc_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/ballast-go/ballast/health"
	"github.com/ballast-go/ballast/health/healthgrpc"
)

// moments are all states, as the package comment's table sees them.
var moments = map[string]struct {
	reach                    func(t *testing.T) *health.Health
	ready, startup, liveness healthpb.HealthCheckResponse_ServingStatus
}{
	"starting": {
		func(t *testing.T) *health.Health {
			h := newHealth(t, health.Config{Startup: []health.Check{{Name: "never", Func: func(context.Context) error { return io.EOF }}}})
			until(t, h, health.StateStarting)
			return h
		}, notServing, notServing, serving,
	},
	"healthy": {
		func(t *testing.T) *health.Health { return newHealth(t, health.Config{}) }, serving, serving, serving,
	},
	"degraded": {
		func(t *testing.T) *health.Health {
			h := newHealth(t, health.Config{Dependencies: []health.Dependency{{Name: "redis", Func: func(context.Context) error { return io.EOF }}}})
			until(t, h, health.StateDegraded)
			return h
		}, serving, serving, serving,
	},
	"unhealthy": {
		func(t *testing.T) *health.Health {
			h := newHealth(t, health.Config{Readiness: []health.Check{{Name: "gpu", Func: func(context.Context) error { return io.EOF }}}})
			until(t, h, health.StateUnhealthy)
			return h
		}, notServing, serving, serving,
	},
	"draining": {
		func(t *testing.T) *health.Health {
			h := newHealth(t, health.Config{})
			if err := h.Drain(t.Context()); err != nil {
				t.Error(err)
			}
			return h
		}, notServing, serving, serving,
	},
	"fatal": {
		func(t *testing.T) *health.Health {
			h := newHealth(t, health.Config{})
			h.Fatal(io.EOF)
			return h
		}, notServing, serving, notServing,
	},
}

func TestEveryStateOverCheckListAndWatch(t *testing.T) {
	for name, m := range moments {
		t.Run(name, func(t *testing.T) {
			h := m.reach(t)
			s := serve(t, h, config)
			want := map[string]healthpb.HealthCheckResponse_ServingStatus{
				"": m.ready, predictor: m.ready, healthgrpc.Readiness: m.ready,
				healthgrpc.Startup: m.startup, healthgrpc.Liveness: m.liveness,
			}
			for service, w := range want {
				if got, err := s.check(t, service); got != w || err != nil {
					t.Errorf("Check(%q) = %v, %v; want %v", service, got, err, w)
				}
				next(t, s.watch(t, service), w)
			}
			if got := list(t, s.cc); len(got) != len(want) {
				t.Errorf("List = %v", got)
			} else {
				for service, w := range want {
					if got[service] != w {
						t.Errorf("List has %v for %q, want %v", got[service], service, w)
					}
				}
			}
			_, err := s.check(t, "nobody")
			wantCode(t, "Check of an unknown service", err, codes.NotFound)
			next(t, s.watch(t, "nobody"), unknown)
		})
	}
}

// list reads what List sends byte by byte, because the messages' types depend on
// grpc's version.
func list(t *testing.T, cc *grpc.ClientConn) map[string]healthpb.HealthCheckResponse_ServingStatus {
	t.Helper()
	out := new(emptypb.Empty)
	if err := cc.Invoke(t.Context(), "/grpc.health.v1.Health/List", new(emptypb.Empty), out); err != nil {
		t.Fatal(err)
	}
	found := make(map[string]healthpb.HealthCheckResponse_ServingStatus)
	for b := []byte(out.ProtoReflect().GetUnknown()); len(b) > 0; {
		entry := field(t, &b, 1)
		name := string(field(t, &entry, 1))
		response := field(t, &entry, 2)
		state := uint64(0)
		if len(response) > 0 {
			_, _, n := protowire.ConsumeTag(response)
			state, _ = protowire.ConsumeVarint(response[n:])
		}
		found[name] = healthpb.HealthCheckResponse_ServingStatus(state)
	}
	return found
}

// field takes one field of bytes from b.
func field(t *testing.T, b *[]byte, want protowire.Number) []byte {
	t.Helper()
	num, kind, n := protowire.ConsumeTag(*b)
	if num != want || kind != protowire.BytesType {
		t.Fatalf("field %d of kind %d (%d) in % x", num, kind, n, *b)
	}
	v, m := protowire.ConsumeBytes((*b)[n:])
	if m < 0 {
		t.Fatal(protowire.ParseError(m))
	}
	*b = (*b)[n+m:]
	return v
}

func TestWatchTellsChangesAndNothingTwice(t *testing.T) {
	gpu, redis := new(switchable), new(switchable)
	h := newHealth(t, health.Config{
		Readiness:    []health.Check{{Name: "gpu", Func: gpu.check, Interval: time.Millisecond}},
		Dependencies: []health.Dependency{{Name: "redis", Func: redis.check, Interval: time.Millisecond}},
	})
	until(t, h, health.StateHealthy)
	s := serve(t, h, config)
	ready, live := s.watch(t, predictor), s.watch(t, healthgrpc.Liveness)
	next(t, ready, serving)
	next(t, live, serving)
	for range 3 {
		redis.off.Store(true)
		until(t, h, health.StateDegraded) // is still serving
		gpu.off.Store(true)
		next(t, ready, notServing)
		redis.off.Store(false)
		gpu.off.Store(false)
		next(t, ready, serving)
	}
	h.Fatal(io.EOF)
	next(t, ready, notServing)
	next(t, live, notServing)
	for _, w := range []healthpb.Health_WatchClient{ready, live} {
		go func() { _ = h.Drain(context.Background()) }()
		_, err := w.Recv()
		wantCode(t, "the end of a Watch", err, codes.Unavailable)
	}
}

// With grpc's own health server this hangs for ever: grpc-go#8776.
func TestWatchEndsOnDrainSoThatGracefulStopReturns(t *testing.T) {
	h := newHealth(t, health.Config{})
	s := serve(t, h, config)
	names := []string{"", predictor, healthgrpc.Liveness, "nobody"}
	var watches []healthpb.Health_WatchClient
	for _, name := range names {
		w := s.watch(t, name)
		if name == "nobody" {
			next(t, w, unknown)
		} else {
			next(t, w, serving)
		}
		watches = append(watches, w)
	}
	if err := h.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	stopped := make(chan struct{})
	go func() {
		s.GracefulStop()
		close(stopped)
	}()
	for i, w := range watches {
		if names[i] == "" || names[i] == predictor {
			next(t, w, notServing)
		}
		_, err := w.Recv()
		wantCode(t, names[i]+": the end", err, codes.Unavailable)
		var info *errdetails.ErrorInfo
		for _, d := range status.Convert(err).Details() {
			if d, ok := d.(*errdetails.ErrorInfo); ok {
				info = d
			}
		}
		if info.GetReason() != "DRAINING" {
			t.Errorf("%s: ended with %v, which does not say why", names[i], err)
		}
	}
	select {
	case <-stopped:
	case <-time.After(time.Minute):
		t.Fatal("GracefulStop hangs")
	}
}

func TestWatchThatComesWhileDrainingEnds(t *testing.T) {
	h := newHealth(t, health.Config{})
	s := serve(t, h, config)
	_ = h.Drain(t.Context())
	w := s.watch(t, "")
	next(t, w, notServing)
	_, err := w.Recv()
	wantCode(t, "the end", err, codes.Unavailable)
}

func TestWatchersAreBounded(t *testing.T) {
	h := newHealth(t, health.Config{})
	s := serve(t, h, healthgrpc.Config{MaxWatchers: 2})
	ctx, cancel := context.WithCancel(t.Context())
	for range 2 {
		w, err := healthpb.NewHealthClient(s.cc).Watch(ctx, new(healthpb.HealthCheckRequest))
		if err != nil {
			t.Fatal(err)
		}
		next(t, w, serving)
	}
	_, err := s.watch(t, "").Recv()
	wantCode(t, "one too many", err, codes.ResourceExhausted)
	cancel() // and there is room again, once the server has noticed
	for {
		_, err := s.watch(t, "").Recv()
		if err == nil {
			break
		}
		wantCode(t, "until then", err, codes.ResourceExhausted)
	}
}

// slow is a stream whose client takes a message when the test says so. Real ones
// block only behind 64 KiB of unread messages.
type slow struct {
	grpc.ServerStream
	ctx  context.Context
	take chan healthpb.HealthCheckResponse_ServingStatus
}

func (s *slow) Context() context.Context { return s.ctx }

func (s *slow) SendMsg(m any) error {
	select {
	case s.take <- m.(*healthpb.HealthCheckResponse).Status:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// Whoever reads late gets what holds then; nothing has been kept for them.
func TestSlowWatcherGetsTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gpu := new(switchable)
		h := newHealth(t, health.Config{Readiness: []health.Check{{Name: "gpu", Func: gpu.check, Interval: time.Second}}})
		<-time.After(time.Millisecond)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stream := &slow{ctx: ctx, take: make(chan healthpb.HealthCheckResponse_ServingStatus)}
		var ended sync.WaitGroup
		ended.Go(func() {
			if err := healthgrpc.Watch(h, "", stream); status.Code(err) != codes.Canceled && !errors.Is(err, context.Canceled) {
				t.Errorf("ended with %v", err)
			}
		})
		for i := range 1001 { // ends with off
			gpu.off.Store(i%2 == 0)
			<-time.After(time.Second)
		}
		var got []string
		for range 2 {
			got = append(got, (<-stream.take).String())
		}
		synctest.Wait()
		select {
		case more := <-stream.take:
			t.Errorf("%v was kept", more)
		default:
		}
		if strings.Join(got, " ") != "SERVING NOT_SERVING" {
			t.Errorf("got %v", got)
		}
		cancel()
		ended.Wait()
	})
}

func TestInterceptorsSeeEveryMethod(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	h := newHealth(t, health.Config{})
	s := serve(t, h, config,
		grpc.UnaryInterceptor(func(ctx context.Context, in any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, info.FullMethod)
			if info.Server == nil || in == nil {
				t.Error("half of the call is missing")
			}
			return handler(ctx, in)
		}),
		grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			mu.Lock()
			seen = append(seen, info.FullMethod)
			mu.Unlock()
			return handler(srv, stream)
		}))
	if _, err := s.check(t, ""); err != nil {
		t.Error(err)
	}
	if got := list(t, s.cc); len(got) != 5 {
		t.Error(got)
	}
	next(t, s.watch(t, ""), serving)
	mu.Lock()
	defer mu.Unlock()
	const prefix = "/grpc.health.v1.Health/"
	if got := strings.Join(seen, " "); got != prefix+"Check "+prefix+"List "+prefix+"Watch" {
		t.Error(got)
	}
}

func TestRegisterReportsEveryMistakeAtOnce(t *testing.T) {
	h := newHealth(t, health.Config{})
	err := healthgrpc.Register(grpc.NewServer(), h, healthgrpc.Config{
		Services:    []string{"", "a", "a", healthgrpc.Liveness, "\xff", strings.Repeat("x", 257)},
		MaxWatchers: -1,
	})
	want := `healthgrpc: Config.Services[0]: is empty
healthgrpc: Config.Services[2]: "a" is there already
healthgrpc: Config.Services[3]: "liveness" is there already
healthgrpc: Config.Services[4]: "\xff" is not UTF-8
healthgrpc: Config.Services[5]: has 257 bytes, above 256
healthgrpc: Config.MaxWatchers: -1 is not between 1 and 1000000`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	err = healthgrpc.Register(grpc.NewServer(), h, healthgrpc.Config{Services: make([]string, 97)})
	if err == nil || !strings.HasPrefix(err.Error(), "healthgrpc: Config.Services: 97 names, above 96\n") {
		t.Error(err)
	}
}
