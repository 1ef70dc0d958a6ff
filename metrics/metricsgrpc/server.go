package metricsgrpc

import (
	"context"
	"sync"

	"google.golang.org/grpc"

	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/ballast-go/ballast/internal/rpcstate"
	"github.com/ballast-go/ballast/metrics"
)

// ServerConfig configures UnaryServerInterceptor and StreamServerInterceptor.
type ServerConfig struct {
	// Services returns the services that exist, as a *grpc.Server's GetServiceInfo
	// does: then no other method has series of its own. It is called once, when the
	// first call comes. What the interceptors of one Metrics are told adds up, and holds
	// for all of them. nil adds nothing; of nothing at all, the methods that come first
	// have series, within the bound.
	Services func() map[string]grpc.ServiceInfo

	_ struct{}
}

// UnaryServerInterceptor counts each call once, however it ends; a panic goes on. All
// interceptors of the same Metrics count a call together, once. It panics if m is nil or closed,
// or if another collector is in the way of the series.
func UnaryServerInterceptor(m *metrics.Metrics, cfg ServerConfig) grpc.UnaryServerInterceptor {
	s := newServer("UnaryServerInterceptor", m, cfg)
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		return rpcstate.Unary(ctx, req, info.FullMethod, handler, &s.observers[unary])
	}
}

// StreamServerInterceptor does for streams what UnaryServerInterceptor does for other
// calls.
func StreamServerInterceptor(m *metrics.Metrics, cfg ServerConfig) grpc.StreamServerInterceptor {
	s := newServer("StreamServerInterceptor", m, cfg)
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		return rpcstate.Stream(srv, stream, info.FullMethod, handler, &s.observers[kindOf(info.IsClientStream, info.IsServerStream)])
	}
}

func newServer(of string, m *metrics.Metrics, cfg ServerConfig) *side {
	s := attach(of, m, true)
	if cfg.Services != nil {
		s.know(knownOf(cfg.Services))
	}
	return s
}

// knownOf returns a function that tells whether a method exists.
func knownOf(services func() map[string]grpc.ServiceInfo) func(string) bool {
	methods := sync.OnceValue(func() map[string]bool {
		known := make(map[string]bool)
		for service, info := range services() {
			for _, m := range info.Methods {
				known["/"+service+"/"+m.Name] = true
			}
		}
		return known
	})
	return func(full string) bool { return methods()[full] }
}

// An observer is what all calls of a kind are observed by, so that one joins once.
type observer struct {
	*side
	kind kind
}

// BeginCall implements rpcstate.Observer.
func (o *observer) BeginCall(s *reqstate.State) {
	if o.started == nil {
		return
	}
	m, _ := o.method(o.kind, s.FullMethod())
	m.started.Inc()
}

// Finish implements rpcstate.Observer.
func (o *observer) Finish(rec *reqstate.Record) {
	m, own := o.method(o.kind, rec.RPC)
	if !own {
		o.overflow.Inc()
	}
	m.end(rec)
	if m.started == nil {
		return
	}
	received, sent := rec.MessagesIn, rec.Stream.Chunks
	if o.kind == unary {
		received, sent = 1, 0
		if rec.Code == 0 {
			sent = 1
		}
	}
	m.received.Add(float64(received))
	m.sent.Add(float64(sent))
}
