package metricsgrpc

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/stats"

	"github.com/ballast-go/ballast/internal/promseries"
	"github.com/ballast-go/ballast/metrics"
)

// NewServerHandler returns what observes the sizes of messages, in bytes before
// compression and without gRPC's five in front, for grpc.StatsHandler. It panics if m
// is nil or closed, or if another collector is in the way of the series.
func NewServerHandler(m *metrics.Metrics) stats.Handler {
	return attachSizes("NewServerHandler", m, true)
}

// NewClientHandler is for grpc.WithStatsHandler what NewServerHandler is for a server.
func NewClientHandler(m *metrics.Metrics) stats.Handler {
	return attachSizes("NewClientHandler", m, false)
}

// sizes are a side's. It is one collector, for the reason that a side is.
type sizes struct {
	side           *side
	received, sent *promseries.HistogramVec
	methods        *promseries.Table[string, *methodSizes]
	other          func() *methodSizes
}

type methodSizes struct{ received, sent *promseries.Histogram }

func attachSizes(of string, m *metrics.Metrics, server bool) *sizes {
	side := attach(of, m, server)
	shared, err := m.Attach(newSizes(m.Config(), side))
	if err != nil {
		panic("metricsgrpc: " + of + ": " + err.Error())
	}
	s, ok := shared.(*sizes)
	if !ok {
		panic("metricsgrpc: " + of + ": another collector is in the way of its series")
	}
	return s
}

func newSizes(c metrics.Config, side *side) *sizes {
	who, in, out := "client", "response", "request"
	if side.server {
		who, in, out = "server", "request", "response"
	}
	histogram := func(guide, otel, help string) *promseries.HistogramVec {
		o := promseries.HistogramOpts{
			Name: "grpc_" + who + "_" + guide, Help: help, Labels: []string{"grpc_service", "grpc_method"},
			Buckets: sizeBuckets, Native: c.NativeHistograms,
		}
		if c.Names == metrics.OTel {
			o.Name, o.Labels = "rpc_"+who+"_"+otel+"_size_bytes", []string{"rpc_system_name", "rpc_method"}
		}
		return promseries.NewHistogramVec(o)
	}
	s := &sizes{
		side:     side,
		received: histogram("msg_received_bytes", in, "Size of messages of gRPC calls that the "+who+" received, uncompressed."),
		sent:     histogram("msg_sent_bytes", out, "Size of messages of gRPC calls that the "+who+" sent, uncompressed."),
		methods:  promseries.NewTable[string, *methodSizes](max(1, c.MaxSeries/4)),
	}
	s.other = sync.OnceValue(func() *methodSizes { return s.build(other) })
	return s
}

func (s *sizes) build(full string) *methodSizes {
	a, b := methodKey{full: full}.labels()
	if s.side.names == metrics.OTel {
		a, b = "grpc", methodKey{full: full}.name()
	}
	return &methodSizes{s.received.With(a, b), s.sent.With(a, b)}
}

func (s *sizes) method(full string) *methodSizes {
	if m, ok := s.methods.Get(full); ok {
		return m
	}
	if !s.methods.Full() && s.side.isName(full) {
		if m, ok := s.methods.Add(strings.Clone(full), s.build); ok {
			return m
		}
	}
	s.side.overflow.Inc()
	return s.other()
}

// A sized is the context of a call whose messages' sizes are observed. The method is
// looked up with the first message: calls of methods that there are not have none.
type sized struct {
	context.Context
	sizes  *sizes
	full   string
	method atomic.Pointer[methodSizes]
}

// Value implements context.Context. The key is a sizes: two do not disturb each other.
func (c *sized) Value(key any) any {
	if key == any(c.sizes) {
		return c
	}
	return c.Context.Value(key)
}

func (c *sized) of() *methodSizes {
	m := c.method.Load()
	if m == nil {
		m = c.sizes.method(c.full)
		c.method.Store(m)
	}
	return m
}

// TagRPC implements stats.Handler.
func (s *sizes) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	return &sized{Context: ctx, sizes: s, full: info.FullMethodName}
}

// HandleRPC implements stats.Handler.
func (s *sizes) HandleRPC(ctx context.Context, rpc stats.RPCStats) {
	switch rpc := rpc.(type) {
	case *stats.InPayload:
		if c, ok := ctx.Value(s).(*sized); ok {
			c.of().received.Observe(float64(rpc.Length))
		}
	case *stats.OutPayload:
		if c, ok := ctx.Value(s).(*sized); ok {
			c.of().sent.Observe(float64(rpc.Length))
		}
	}
}

// TagConn implements stats.Handler.
func (*sizes) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (*sizes) HandleConn(context.Context, stats.ConnStats) {}

// Describe implements prometheus.Collector.
func (s *sizes) Describe(ch chan<- *prometheus.Desc) {
	s.received.Describe(ch)
	s.sent.Describe(ch)
}

// Collect implements prometheus.Collector.
func (s *sizes) Collect(ch chan<- prometheus.Metric) {
	s.received.Collect(ch)
	s.sent.Collect(ch)
}
