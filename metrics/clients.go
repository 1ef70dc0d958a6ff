package metrics

import (
	"net"
	"strconv"
	"sync/atomic"

	"github.com/ballast-go/ballast/internal/promseries"
	"github.com/prometheus/client_golang/prometheus"
)

// clients counts what the program's HTTP clients send.
type clients struct {
	names    Names
	total    *prometheus.CounterVec // of Guide
	duration *promseries.HistogramVec
	active   *prometheus.GaugeVec

	known      *promseries.Table[clientKey, *clientSeries]
	overflow   [len(methods)][10]atomic.Pointer[clientSeries] // by the status' class; 0 for no status
	overflowed prometheus.Counter
}

type clientKey struct {
	client   string
	status   int
	method   uint8
	end      clientEnd
	protocol protocol
}

type clientSeries struct {
	total    prometheus.Counter // nil for OTel
	duration *promseries.Histogram
}

// A clientEnd is how a call ended other than with a whole answer.
type clientEnd uint8

const (
	answered clientEnd = iota
	failed
	timedOut
	canceled
	errorEvent
)

var clientEnds = [...]string{"", "error", "timeout", "canceled", "error-event"}

func newClients(s *series) *clients {
	c := &clients{
		names:      s.settings.names,
		known:      promseries.NewTable[clientKey, *clientSeries](s.settings.series),
		overflowed: s.overflows.WithLabelValues("clients"),
	}
	histogram := promseries.HistogramOpts{Native: s.native, Help: "Duration of HTTP client requests in seconds.", Name: "http_client_request_duration_seconds"}
	if c.names == OTel {
		histogram.Labels = []string{"http_request_method", "server_address", "server_port", "error_type", "http_response_status_code", "network_protocol_version"}
		histogram.Buckets = otelDurations
		c.active = prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "http_client_active_requests", Help: "Number of active HTTP client requests.",
		}, []string{"http_request_method", "server_address", "server_port"})
	} else {
		histogram.Labels = []string{"client", "method"}
		histogram.Buckets = guideDurations
		c.total = prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_client_requests_total", Help: "Total HTTP client requests.",
		}, []string{"client", "method", "status"})
		c.active = prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "http_client_requests_active", Help: "Number of active HTTP client requests.",
		}, []string{"client"})
	}
	c.duration = promseries.NewHistogramVec(histogram)
	return c
}

func (c *clients) collectors() group {
	g := group{c.duration, c.active}
	if c.total != nil {
		g = append(g, c.total)
	}
	return g
}

// Describe implements prometheus.Collector.
func (c *clients) Describe(ch chan<- *prometheus.Desc) { c.collectors().Describe(ch) }

// Collect implements prometheus.Collector.
func (c *clients) Collect(ch chan<- prometheus.Metric) { c.collectors().Collect(ch) }

// gauges returns the gauges of a client, by method.
func (c *clients) gauges(client string) (gauges [len(methods)]prometheus.Gauge) {
	address, port := addressOf(client)
	for i := range gauges {
		if c.names == OTel {
			gauges[i] = c.active.WithLabelValues(c.names.method(uint8(i)), address, port)
		} else {
			gauges[i] = c.active.WithLabelValues(client)
		}
	}
	return gauges
}

// addressOf divides a client's name, if it has a port.
func addressOf(client string) (address, port string) {
	if host, p, err := net.SplitHostPort(client); err == nil {
		return host, p
	}
	return client, ""
}

func (c *clients) lookup(k clientKey) *clientSeries {
	if s, ok := c.known.Get(k); ok {
		return s
	}
	if !c.known.Full() {
		if s, ok := c.known.Add(k, c.resolve); ok {
			return s
		}
	}
	c.overflowed.Inc()
	class := k.status / 100
	if class < 0 || class > 9 || k.end != answered {
		class = 0
	}
	slot := &c.overflow[k.method][class]
	if s := slot.Load(); s != nil {
		return s
	}
	s := c.build(other, k.method, strconv.Itoa(class)+"xx", map[bool]string{true: otherOTel}[class == 5 || class == 0], "")
	slot.Store(s)
	return s
}

func (c *clients) resolve(k clientKey) *clientSeries {
	status, errorType := "", clientEnds[k.end]
	if k.status > 0 {
		status = strconv.Itoa(k.status)
	}
	if c.names == Guide && errorType != "" {
		status = errorType
	}
	if errorType == "" && k.status >= 400 && k.status != 429 && k.status != 499 {
		errorType = status
	}
	return c.build(k.client, k.method, status, errorType, k.protocol.String())
}

func (c *clients) build(client string, method uint8, status, errorType, protocol string) *clientSeries {
	if c.names == OTel {
		address, port := addressOf(client)
		return &clientSeries{duration: c.duration.With(c.names.method(method), address, port, errorType, status, protocol)}
	}
	return &clientSeries{
		total:    c.total.WithLabelValues(client, methods[method], status),
		duration: c.duration.With(client, methods[method]),
	}
}
