package metricsgrpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/ballast-go/ballast/metrics"
	"github.com/ballast-go/ballast/metrics/metricsgrpc"
)

// labels are those of one of the service's methods.
func labels(kind, method string) string {
	return fmt.Sprintf(`{grpc_method="%s",grpc_service="test.Numbers",grpc_type="%s"}`, method, kind)
}

func handled(kind, method, code, reason string) string {
	return fmt.Sprintf(`grpc_server_handled_total{grpc_code="%s",grpc_method="%s",grpc_service="test.Numbers",grpc_type="%s",reason="%s"}`, code, method, kind, reason)
}

// exchange makes a stream that sends n messages and reads all there is.
func exchange(ctx context.Context, cc *grpc.ClientConn, desc grpc.StreamDesc, n int) (received int, err error) {
	stream, err := cc.NewStream(ctx, &desc, service+desc.StreamName)
	if err != nil {
		return 0, err
	}
	for range n {
		if err := send(stream, 1); err != nil && err != io.EOF {
			return 0, err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return 0, err
	}
	for {
		_, err := receive(stream)
		if err == io.EOF {
			return received, nil
		}
		if err != nil {
			return received, err
		}
		if received++; !desc.ServerStreams {
			return received, nil
		}
	}
}

// sums takes all there is, and answers once.
func sums(stream grpc.ServerStream) error {
	for {
		if _, err := receive(stream); err == io.EOF {
			return send(stream, 0)
		} else if err != nil {
			return err
		}
	}
}

func TestServer(t *testing.T) {
	m := newMetrics(t, metrics.Config{})
	cc, stop := serve(t, numbers{
		unary: func(_ context.Context, n int64) (int64, error) { return n, status.FromContextError(fails(n)).Err() },
		stream: func(stream grpc.ServerStream) error {
			if name, _ := grpc.Method(stream.Context()); name == service+upload.StreamName {
				return sums(stream)
			}
			return echoes(stream)
		},
	}, intercept(m, metricsgrpc.ServerConfig{}))
	for n := range int64(3) { // two succeed, and one does not
		_, _ = call(t.Context(), cc, n)
	}
	for desc, n := range map[*grpc.StreamDesc]int{&upload: 3, &watch: 1, &chat: 2} {
		if _, err := exchange(t.Context(), cc, *desc, n); err != nil {
			t.Errorf("%s: %v", desc.StreamName, err)
		}
	}
	stop()
	want := map[string]float64{
		handled("unary", "Unary", "OK", ""):               2,
		handled("unary", "Unary", "DeadlineExceeded", ""): 1,
		handled("client_stream", "Upload", "OK", ""):      1,
		handled("server_stream", "Watch", "OK", ""):       1,
		handled("bidi_stream", "Chat", "OK", ""):          1,
	}
	for what, by := range map[string][4]float64{
		"started_total":      {3, 1, 1, 1},
		"handling_seconds":   {3, 1, 1, 1},
		"msg_received_total": {3, 3, 1, 2},
		"msg_sent_total":     {2, 1, 1, 2},
	} {
		for i, of := range [][2]string{{"unary", "Unary"}, {"client_stream", "Upload"}, {"server_stream", "Watch"}, {"bidi_stream", "Chat"}} {
			want["grpc_server_"+what+labels(of[0], of[1])] = by[i]
		}
	}
	check(t, m, "grpc_", want)
}

func fails(n int64) error {
	if n == 2 {
		return context.DeadlineExceeded
	}
	return nil
}

// The code is what the client got, or would have.
func TestServerCodes(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"none":              {nil, "OK"},
		"a status":          {status.Error(codes.DataLoss, "x"), "DataLoss"},
		"wrapped":           {fmt.Errorf("x: %w", status.Error(codes.NotFound, "x")), "NotFound"},
		"no status":         {errors.New("x"), "Unknown"},
		"a deadline":        {context.DeadlineExceeded, "DeadlineExceeded"},
		"its own Canceled":  {context.Canceled, "Canceled"},
		"none of gRPC's":    {status.Error(99, "x"), "_other"},
		"another such one":  {status.Error(1<<31, "x"), "_other"},
		"OK, with a detail": {okError{}, "OK"},
	} {
		m := newMetrics(t, metrics.Config{})
		unary := metricsgrpc.UnaryServerInterceptor(m, metricsgrpc.ServerConfig{})
		_, _ = unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: service + "Unary"}, func(context.Context, any) (any, error) { return nil, tt.err })
		t.Log(name)
		check(t, m, "grpc_server_handled", map[string]float64{handled("unary", "Unary", tt.want, ""): 1})
	}
}

// okError is an error that gRPC takes for a success.
type okError struct{}

func (okError) Error() string              { return "x" }
func (okError) GRPCStatus() *status.Status { return status.New(codes.OK, "") }

// However the handler is left, that goes on, and is counted.
func TestServerLeft(t *testing.T) {
	for name, tt := range map[string]struct {
		leave func()
		want  string
	}{
		"panic":  {func() { panic("x") }, "Internal"},
		"Goexit": {runtime.Goexit, "Internal"},
	} {
		m := newMetrics(t, metrics.Config{})
		unary := metricsgrpc.UnaryServerInterceptor(m, metricsgrpc.ServerConfig{})
		stream := metricsgrpc.StreamServerInterceptor(m, metricsgrpc.ServerConfig{})
		for _, through := range []func(){
			func() {
				_, _ = unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: service + "Unary"}, func(context.Context, any) (any, error) { tt.leave(); return nil, nil })
			},
			func() {
				_ = stream(nil, fakeStream{ctx: t.Context()}, &grpc.StreamServerInfo{FullMethod: service + "Watch", IsServerStream: true}, func(any, grpc.ServerStream) error { tt.leave(); return nil })
			},
		} {
			left := make(chan any)
			go func() {
				defer func() { left <- recover() }()
				through()
			}()
			if v := <-left; (v == "x") != (name == "panic") {
				t.Errorf("%s: recovered %v", name, v)
			}
		}
		check(t, m, "grpc_server_handled", map[string]float64{
			handled("unary", "Unary", tt.want, ""):         1,
			handled("server_stream", "Watch", tt.want, ""): 1,
		})
	}
}

type fakeStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s fakeStream) Context() context.Context { return s.ctx }

// A client that cancels is nobody's failure, whatever the handler makes of it; its
// deadline is.
func TestServerClientThatLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMetrics(t, metrics.Config{})
		begun := make(chan bool)
		cc, stop := serve(t, numbers{stream: func(stream grpc.ServerStream) error {
			begun <- true
			<-stream.Context().Done()
			return errors.New("whatever")
		}}, intercept(m, metricsgrpc.ServerConfig{}))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := exchange(ctx, cc, watch, 1)
			done <- err
		}()
		<-begun
		cancel()
		if err := <-done; status.Code(err) != codes.Canceled {
			t.Error(err)
		}
		stop()
		check(t, m, "grpc_server_handled", map[string]float64{handled("server_stream", "Watch", "Canceled", ""): 1})
	})
}

// An alert on Unavailable leaves rejections out, and sees what is none.
func TestServerReason(t *testing.T) {
	unavailable := status.Error(codes.Unavailable, "x")
	for name, tt := range map[string]struct {
		err    error
		note   func(*reqstate.State)
		code   string
		reason string
	}{
		"turned away":          {unavailable, func(s *reqstate.State) { s.SetReason("queue-full") }, "Unavailable", "queue-full"},
		"refused":              {unavailable, func(s *reqstate.State) { s.SetRefused() }, "Unavailable", "refused"},
		"refused for a reason": {unavailable, func(s *reqstate.State) { s.SetRefused(); s.SetReason("shed") }, "Unavailable", "shed"},
		"broken":               {unavailable, func(*reqstate.State) {}, "Unavailable", ""},
		"not UTF-8":            {unavailable, func(s *reqstate.State) { s.SetReason("a\xffb") }, "Unavailable", "a\uFFFDb"},
		"limited":              {status.Error(codes.ResourceExhausted, "x"), func(s *reqstate.State) { s.SetReason("rate-limited") }, "ResourceExhausted", "rate-limited"},
		"second attempt":       {nil, func(s *reqstate.State) { s.SetReason("shed") }, "OK", ""},
		"panic then":           {nil, func(s *reqstate.State) { s.SetReason("shed"); s.SetPanic("x") }, "Internal", ""},
		"midway":               {unavailable, func(s *reqstate.State) { s.Sent(); s.SetReason("draining") }, "Unavailable", "draining"},
	} {
		m := newMetrics(t, metrics.Config{})
		unary := metricsgrpc.UnaryServerInterceptor(m, metricsgrpc.ServerConfig{})
		_, _ = unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: service + "Unary"}, func(ctx context.Context, _ any) (any, error) {
			tt.note(reqstate.FromContext(ctx))
			return nil, tt.err
		})
		t.Log(name)
		check(t, m, "grpc_server_handled", map[string]float64{handled("unary", "Unary", tt.code, tt.reason): 1})
	}
}

// Reasons are a program's constants; should they be more, that is bounded, too.
func TestServerReasonsAreBounded(t *testing.T) {
	m := newMetrics(t, metrics.Config{})
	unary := metricsgrpc.UnaryServerInterceptor(m, metricsgrpc.ServerConfig{})
	for i := range 100 {
		_, _ = unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: service + "Unary"}, func(ctx context.Context, _ any) (any, error) {
			reqstate.FromContext(ctx).SetReason(fmt.Sprint("reason-", i))
			return nil, status.Error(codes.Unavailable, "x")
		})
	}
	got := series(t, m, "grpc_server_handled")
	if len(got) != 32 || got[handled("unary", "Unary", "Unavailable", "_other")] != 69 {
		t.Errorf("%v", got)
	}
	if n := series(t, m, "metrics_overflow_total")[`metrics_overflow_total{of="grpc"}`]; n != 69 {
		t.Errorf("%v overflows", n)
	}
}

// Two of a Metrics, and two Metrics of a registry, count a call once, together.
func TestServerTwice(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, again := newMetrics(t, metrics.Config{Registerer: registry}), newMetrics(t, metrics.Config{Registerer: registry})
	apart := newMetrics(t, metrics.Config{})
	cc, stop := serve(t, numbers{}, append(append(intercept(m, metricsgrpc.ServerConfig{}), intercept(again, metricsgrpc.ServerConfig{})...), intercept(apart, metricsgrpc.ServerConfig{})...))
	if _, err := call(t.Context(), cc, 1); err != nil {
		t.Error(err)
	}
	if _, err := exchange(t.Context(), cc, chat, 2); err != nil {
		t.Error(err)
	}
	stop()
	for _, m := range []*metrics.Metrics{m, apart} {
		check(t, m, "grpc_server_handled", map[string]float64{
			handled("unary", "Unary", "OK", ""):      1,
			handled("bidi_stream", "Chat", "OK", ""): 1,
		})
		if n := series(t, m, "grpc_server_msg_sent")["grpc_server_msg_sent_total"+labels("bidi_stream", "Chat")]; n != 2 {
			t.Errorf("%v messages sent", n)
		}
	}
	m.Close()
	if got := series(t, again, "grpc_server_handled"); len(got) != 2 {
		t.Errorf("with one Metrics closed, the other has %v", got)
	}
	again.Close()
	if families, err := registry.Gather(); err != nil || len(families) != 0 {
		t.Errorf("with both closed there are %v, %v", families, err)
	}
}

// A client that may call any method cannot make series.
func TestServerUnknownMethods(t *testing.T) {
	for name, tt := range map[string]struct {
		config metrics.Config
		known  bool
		own    int // methods with series of their own
	}{
		"bound":    {metrics.Config{MaxSeries: 40}, false, 10},
		"services": {metrics.Config{}, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMetrics(t, tt.config)
			var server *grpc.Server
			cfg := metricsgrpc.ServerConfig{}
			if tt.known {
				cfg.Services = func() map[string]grpc.ServiceInfo { return server.GetServiceInfo() }
			}
			server = grpc.NewServer()
			numbers{}.register(server)
			unary, stream := metricsgrpc.UnaryServerInterceptor(m, cfg), metricsgrpc.StreamServerInterceptor(m, cfg)
			one := func(full string) {
				_, _ = unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: full}, func(context.Context, any) (any, error) { return nil, nil })
			}
			one(service + "Unary")
			for i := range 200 {
				one(fmt.Sprintf("/random.%d/%d", i, i))
				_ = stream(nil, fakeStream{ctx: t.Context()}, &grpc.StreamServerInfo{FullMethod: fmt.Sprintf("/x/%d", i)}, func(any, grpc.ServerStream) error { return nil })
			}
			one("/" + strings.Repeat("x", 1000))
			one("/\xff/\xff")
			got := series(t, m, "grpc_server_handled")
			if len(got) != tt.own+1 {
				t.Errorf("%d series", len(got))
			}
			const rest = `grpc_server_handled_total{grpc_code="OK",grpc_method="_other",grpc_service="_other",grpc_type="unary",reason=""}`
			if n := float64(403 - tt.own); got[rest] != n || series(t, m, "metrics_overflow")[`metrics_overflow_total{of="grpc"}`] != n {
				t.Errorf("%v are other, want %v", got[rest], n)
			}
		})
	}
}

// What two servers in a process are told of their services adds up.
func TestServerServices(t *testing.T) {
	m := newMetrics(t, metrics.Config{})
	of := func(service string) grpc.UnaryServerInterceptor {
		return metricsgrpc.UnaryServerInterceptor(m, metricsgrpc.ServerConfig{Services: func() map[string]grpc.ServiceInfo {
			return map[string]grpc.ServiceInfo{service: {Methods: []grpc.MethodInfo{{Name: "M"}}}}
		}})
	}
	for i, unary := range []grpc.UnaryServerInterceptor{of("a"), of("b")} {
		for _, full := range []string{"/a/M", "/b/M", "/c/M"}[i : i+2] {
			_, _ = unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: full}, func(context.Context, any) (any, error) { return nil, nil })
		}
	}
	check(t, m, "grpc_server_started", map[string]float64{
		`grpc_server_started_total{grpc_method="M",grpc_service="a",grpc_type="unary"}`:           1,
		`grpc_server_started_total{grpc_method="M",grpc_service="b",grpc_type="unary"}`:           2,
		`grpc_server_started_total{grpc_method="_other",grpc_service="_other",grpc_type="unary"}`: 1,
	})
}

// A call of a recorded trace leaves it as the exemplar of its bucket.
func TestServerExemplar(t *testing.T) {
	m := newMetrics(t, metrics.Config{})
	unary := metricsgrpc.UnaryServerInterceptor(m, metricsgrpc.ServerConfig{})
	for _, sampled := range []bool{false, true} {
		_, _ = unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: service + "Unary"}, func(ctx context.Context, _ any) (any, error) {
			reqstate.FromContext(ctx).SetTrace([16]byte{1}, [8]byte{2}, sampled)
			return nil, nil
		})
	}
	families, err := m.Config().Gatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	exemplars := 0
	for _, family := range families {
		for _, metric := range family.Metric {
			for _, b := range metric.GetHistogram().GetBucket() {
				if b.Exemplar != nil {
					exemplars++
				}
			}
		}
	}
	if exemplars != 1 {
		t.Errorf("%d exemplars", exemplars)
	}
}

func TestServerOTel(t *testing.T) {
	m := newMetrics(t, metrics.Config{Names: metrics.OTel, MaxSeries: 4})
	unary := metricsgrpc.UnaryServerInterceptor(m, metricsgrpc.ServerConfig{})
	one := func(full string, err error, note func(*reqstate.State)) {
		_, _ = unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: full}, func(ctx context.Context, _ any) (any, error) {
			note(reqstate.FromContext(ctx))
			return nil, err
		})
	}
	nothing := func(*reqstate.State) {}
	one(service+"Unary", nil, nothing)
	one(service+"Unary", status.Error(codes.NotFound, "x"), nothing)
	one(service+"Unary", status.Error(codes.Internal, "x"), nothing)
	one(service+"Unary", status.Error(codes.Unavailable, "x"), func(s *reqstate.State) { s.SetReason("shed") })
	one(service+"Unary", status.Error(99, "x"), nothing)
	one("/a/B", context.Canceled, nothing)
	name := func(method, code, errorType string) string {
		return fmt.Sprintf(`rpc_server_call_duration_seconds{error_type="%s",rpc_method="%s",rpc_response_status_code="%s",rpc_system_name="grpc"}`, errorType, method, code)
	}
	check(t, m, "rpc_", map[string]float64{
		name("test.Numbers/Unary", "OK", ""):               1,
		name("test.Numbers/Unary", "NOT_FOUND", ""):        1,
		name("test.Numbers/Unary", "INTERNAL", "INTERNAL"): 1,
		name("test.Numbers/Unary", "UNAVAILABLE", "shed"):  1,
		name("test.Numbers/Unary", "_OTHER", "UNKNOWN"):    1,
		name("_OTHER", "CANCELLED", ""):                    1,
	})
	check(t, m, "grpc_", nil)
}

// Many calls at once, with scrapes between them, are all counted.
func TestServerConcurrently(t *testing.T) {
	m := newMetrics(t, metrics.Config{NativeHistograms: true})
	cc, stop := serve(t, numbers{}, append(intercept(m, metricsgrpc.ServerConfig{}), grpc.StatsHandler(metricsgrpc.NewServerHandler(m))))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 {
				if _, err := call(t.Context(), cc, 1); err != nil {
					t.Error(err)
				}
				if _, err := exchange(t.Context(), cc, chat, 3); err != nil {
					t.Error(err)
				}
				series(t, m, "grpc_")
			}
		})
	}
	wg.Wait()
	stop()
	got := series(t, m, "grpc_")
	for name, want := range map[string]float64{
		handled("unary", "Unary", "OK", ""):                                               200,
		handled("bidi_stream", "Chat", "OK", ""):                                          200,
		"grpc_server_msg_sent_total" + labels("bidi_stream", "Chat"):                      600,
		`grpc_server_msg_received_bytes{grpc_method="Chat",grpc_service="test.Numbers"}`:  600,
		`grpc_server_msg_received_bytes{grpc_method="Unary",grpc_service="test.Numbers"}`: 200,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}

// A server that is stopped counts what it still served.
func TestServerGracefulStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMetrics(t, metrics.Config{})
		cc, stop := serve(t, numbers{unary: func(_ context.Context, n int64) (int64, error) {
			<-time.After(time.Second)
			return n, nil
		}}, intercept(m, metricsgrpc.ServerConfig{}))
		done := make(chan error)
		go func() {
			_, err := call(t.Context(), cc, 1)
			done <- err
		}()
		synctest.Wait()
		if got := series(t, m, "grpc_server_started"); got["grpc_server_started_total"+labels("unary", "Unary")] != 1 {
			t.Errorf("while it runs: %v", got)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		stop()
		check(t, m, "grpc_server_handled", map[string]float64{handled("unary", "Unary", "OK", ""): 1})
	})
}

func TestServerConfigErrors(t *testing.T) {
	closed := newMetrics(t, metrics.Config{})
	closed.Close()
	taken := prometheus.NewRegistry()
	taken.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "grpc_server_started_total", Help: "x"}))
	for want, build := range map[string]func(){
		"UnaryServerInterceptor of a nil *Metrics":  func() { metricsgrpc.UnaryServerInterceptor(nil, metricsgrpc.ServerConfig{}) },
		"StreamServerInterceptor of a nil *Metrics": func() { metricsgrpc.StreamServerInterceptor(nil, metricsgrpc.ServerConfig{}) },
		"UnaryClientInterceptor of a nil *Metrics":  func() { metricsgrpc.UnaryClientInterceptor(nil) },
		"StreamClientInterceptor of a nil *Metrics": func() { metricsgrpc.StreamClientInterceptor(nil) },
		"NewServerHandler of a nil *Metrics":        func() { metricsgrpc.NewServerHandler(nil) },
		"NewClientHandler of a nil *Metrics":        func() { metricsgrpc.NewClientHandler(nil) },
		"UnaryServerInterceptor: ":                  func() { metricsgrpc.UnaryServerInterceptor(closed, metricsgrpc.ServerConfig{}) },
		"StreamServerInterceptor: ": func() {
			metricsgrpc.StreamServerInterceptor(newMetrics(t, metrics.Config{Registerer: taken}), metricsgrpc.ServerConfig{})
		},
	} {
		func() {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.HasPrefix(text, "metricsgrpc: "+want) {
					t.Errorf("panics with %q, want %q", text, want)
				}
			}()
			build()
		}()
	}
}
