package stackbench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"

	grpcprom "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	grpclogging "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	grpcrecovery "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	grpcpeer "google.golang.org/grpc/peer"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authgrpc"
	"github.com/ballast-go/ballast/breaker"
	"github.com/ballast-go/ballast/breaker/breakergrpc"
	"github.com/ballast-go/ballast/logging"
	"github.com/ballast-go/ballast/logging/logginggrpc"
	"github.com/ballast-go/ballast/metrics"
	"github.com/ballast-go/ballast/metrics/metricsgrpc"
	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/ratelimit/ratelimitgrpc"
	"github.com/ballast-go/ballast/tracing/tracinggrpc"
)

const (
	tableGRPC       = "grpc"
	tableGRPCDirect = "grpc direct"
	oursObserves    = "ballast, observability alone"
)

// A callStack is what a gRPC server puts in front of unary calls.
type callStack struct {
	interceptors []grpc.UnaryServerInterceptor
	options      []grpc.ServerOption
}

// callPeers are Ballast, and what most services with gRPC have.
func callPeers() []struct {
	name, note string
	new        func(world) (callStack, func(), error)
} {
	return []struct {
		name, note string
		new        func(world) (callStack, func(), error)
	}{
		{Ours, "logging, tracing, metrics, auth, ratelimit, breaker", func(w world) (callStack, func(), error) { return ownCalls(w, true) }},
		{oursObserves, "without auth, ratelimit and breaker, as below", func(w world) (callStack, func(), error) { return ownCalls(w, false) }},
		{"go-grpc-middleware + otelgrpc", "logging through slog, recovery, Prometheus provider", middlewareCalls},
	}
}

// ownCalls is Ballast's stack in the order that its packages document.
func ownCalls(w world, whole bool) (s callStack, closeIt func(), err error) {
	l, err := logging.New(logging.Config{Output: w.logs, Name: "stack"})
	if err != nil {
		return s, nil, err
	}
	m, err := metrics.New(metrics.Config{})
	if err != nil {
		return s, nil, err
	}
	if w.probe != nil {
		w.probe.series = scrape(m.Handler())
	}
	tp, closeIt := provider(w, sampled)
	s.interceptors = []grpc.UnaryServerInterceptor{
		logginggrpc.RecoverUnary(l),
		tracinggrpc.UnaryServerInterceptor(tp, tracinggrpc.ServerConfig{}),
		logginggrpc.UnaryServerInterceptor(l, logginggrpc.ServerConfig{}),
		metricsgrpc.UnaryServerInterceptor(m, metricsgrpc.ServerConfig{}),
	}
	if !whole {
		return s, closeIt, nil
	}
	v, err := newVerifier(w.signer)
	if err != nil {
		return s, closeIt, err
	}
	k, err := ratelimit.New(ratelimit.Config{Limit: ratelimit.Limit{Rate: perSecond, Burst: burst}, MaxKeys: 1 << 10})
	if err != nil {
		return s, closeIt, err
	}
	b, err := breaker.New(breaker.Config{Name: "model"})
	if err != nil {
		return s, closeIt, err
	}
	s.interceptors = append(s.interceptors,
		authgrpc.UnaryServerInterceptor(v, authgrpc.ServerConfig{}),
		ratelimitgrpc.UnaryServerInterceptor(k, ratelimitgrpc.ServerConfig{Key: func(ctx context.Context, _ string) string {
			if p, ok := auth.PrincipalFromContext(ctx); ok {
				return p.Subject
			}
			return ""
		}}),
		breakergrpc.UnaryServerInterceptor(b, breakergrpc.ServerConfig{}))
	return s, closeIt, nil
}

func middlewareCalls(w world) (s callStack, closeIt func(), err error) {
	log := slog.New(slog.NewJSONHandler(w.logs, nil)).With("logger", "stack")
	reg := w.registry()
	series := grpcprom.NewServerMetrics(grpcprom.WithServerHandlingTimeHistogram(grpcprom.WithHistogramBuckets(buckets)))
	reg.MustRegister(series)
	tp, closeIt := provider(w, sampled)
	s.options = []grpc.ServerOption{grpc.StatsHandler(otelgrpc.NewServerHandler(otelgrpc.WithTracerProvider(tp),
		otelgrpc.WithMeterProvider(noopmetric.NewMeterProvider()), otelgrpc.WithPropagators(propagation.TraceContext{})))}
	s.interceptors = []grpc.UnaryServerInterceptor{
		series.UnaryServerInterceptor(),
		grpclogging.UnaryServerInterceptor(grpclogging.LoggerFunc(func(ctx context.Context, level grpclogging.Level, msg string, fields ...any) {
			log.Log(ctx, slog.Level(level), msg, fields...)
		}), grpclogging.WithLogOnEvents(grpclogging.FinishCall)),
		grpcrecovery.UnaryServerInterceptor(),
	}
	return s, closeIt, nil
}

// healthServer answers at once.
type healthServer struct {
	health.UnimplementedHealthServer
}

func (healthServer) Check(context.Context, *health.HealthCheckRequest) (*health.HealthCheckResponse, error) {
	return serving, nil
}

var (
	serving = &health.HealthCheckResponse{Status: health.HealthCheckResponse_SERVING}
	method  = health.Health_Check_FullMethodName
)

var errAnswer = errors.New("another answer than the service's")

// calling has a grpc.Server over loopback, and calls it again and again.
func calling(s callStack, token string) (Op, func(), error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	srv := grpc.NewServer(append(s.options, grpc.ChainUnaryInterceptor(s.interceptors...))...)
	health.RegisterHealthServer(srv, healthServer{})
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUserAgent(agent))
	closeIt := func() {
		if conn != nil {
			_ = conn.Close()
		}
		srv.Stop()
		<-served
	}
	if err != nil {
		return nil, closeIt, err
	}
	client, request := health.NewHealthClient(conn), &health.HealthCheckRequest{Service: "model"}
	ctx := metadata.NewOutgoingContext(context.Background(), metadata.Pairs("authorization", "Bearer "+token))
	op := func(_, n int) error {
		for range n {
			got, err := client.Check(ctx, request)
			if err != nil {
				return err
			}
			if got.Status != health.HealthCheckResponse_SERVING {
				return errAnswer
			}
		}
		return nil
	}
	return op, closeIt, op(0, 1)
}

// callStream is where interceptors put headers when there is no server.
type callStream struct{}

func (callStream) Method() string               { return method }
func (callStream) SetHeader(metadata.MD) error  { return nil }
func (callStream) SendHeader(metadata.MD) error { return nil }
func (callStream) SetTrailer(metadata.MD) error { return nil }

// intercepting calls the interceptors directly.
func intercepting(s callStack, token string) (Op, func(), error) {
	info := &grpc.UnaryServerInfo{FullMethod: method}
	handler := func(context.Context, any) (any, error) { return serving, nil }
	for i := len(s.interceptors) - 1; i >= 0; i-- {
		one, next := s.interceptors[i], handler
		handler = func(ctx context.Context, req any) (any, error) { return one(ctx, req, info, next) }
	}
	ctx := grpcpeer.NewContext(context.Background(), &grpcpeer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(203, 0, 113, 77), Port: 41234}})
	ctx = metadata.NewIncomingContext(ctx, metadata.Pairs("authorization", "Bearer "+token, "user-agent", agent, ":authority", "models.example", "content-type", "application/grpc"))
	ctx = grpc.NewContextWithServerTransportStream(ctx, callStream{})
	var request any = &health.HealthCheckRequest{Service: "model"}
	op := func(_, n int) error {
		for range n {
			got, err := handler(ctx, request)
			if err != nil {
				return err
			}
			if got != serving {
				return fmt.Errorf("%w: %v", errAnswer, got)
			}
		}
		return nil
	}
	return op, nil, op(0, 1)
}

// callTable has everybody's stack for calls.
func callTable(name, title string, batch int, open func(callStack, string) (Op, func(), error)) Table {
	t := Table{Name: name, Title: title, Workers: 1, Batch: batch}
	add := func(name, note string, build func(world) (callStack, func(), error)) {
		t.Contenders = append(t.Contenders, Contender{Name: name, Note: note, Open: func() (Op, func(), error) {
			w := world{signer: newSigner(), logs: io.Discard}
			token, err := w.signer.token(tenYears)
			if err != nil {
				return nil, nil, err
			}
			s, closeStack, err := build(w)
			if err != nil {
				return nil, closeStack, err
			}
			op, closeOp, err := open(s, token)
			return op, both(closeOp, closeStack), err
		}})
	}
	add(bare, "part of every line", func(world) (callStack, func(), error) { return callStack{}, nil, nil })
	for _, p := range callPeers() {
		note := p.note
		if name == tableGRPCDirect && p.name != Ours && p.name != oursObserves {
			note += "; otelgrpc is not part of it, for it is no interceptor"
		}
		add(p.name, note, p.new)
	}
	return t
}

func callTables() []Table {
	return []Table{
		callTable(tableGRPC, "The whole stack for unary gRPC calls, over loopback", 8, calling),
		callTable(tableGRPCDirect, "The interceptors of unary gRPC calls, called directly", 16, intercepting),
	}
}
