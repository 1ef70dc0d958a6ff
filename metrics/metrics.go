package metrics

import (
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics counts requests, through Middleware and NewTransport, and models'
// work, through Model and GenAI. Make one with New.
type Metrics struct {
	series  *series
	config  Config
	handler http.Handler
	closed  atomic.Bool
}

// New registers the series and returns what counts into them.
//
// It returns all that is wrong with the Config at once. If the Registerer has
// a foreign collector with one of the series' names, or a Metrics with other
// bounds or names, that is an error, and nothing is registered.
func New(c Config) (*Metrics, error) {
	s, err := c.settings()
	if err != nil {
		return nil, err
	}
	c.MaxSeries, c.MaxModels = s.series, s.models
	if c.Registerer == nil {
		registry := prometheus.NewRegistry()
		registry.MustRegister(
			collectors.NewGoCollector(),
			collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		)
		c.Registerer = registry
	}
	c.Gatherer = c.gatherer()
	shared, err := register(c.Registerer, newSeries(s, c.Registerer))
	if err != nil {
		return nil, err
	}
	// OpenMetrics from the start: turning it on later would rename buckets, for
	// it writes le="1.0" where the text format writes le="1".
	handler := promhttp.HandlerFor(c.Gatherer, promhttp.HandlerOpts{EnableOpenMetrics: true})
	return &Metrics{series: shared, config: c, handler: handler}, nil
}

// Handler serves the Gatherer's series to Prometheus: as text or, if asked
// for, as OpenMetrics, which has exemplars, or protobuf, which has native
// histograms too, compressed if the client takes gzip. If gathering fails, be it
// another's collector, it answers 500. Scrapes that go through Middleware are
// counted like any request.
func (m *Metrics) Handler() http.Handler { return m.handler }

// Config returns what m was made with, its defaults filled in.
func (m *Metrics) Config() Config { return m.config }

// Attach registers another collector in the same place, for as long as m's own
// series are there, and returns it, or the equal one that is registered there
// already. What is in the way is an error, so is an m that is closed.
func (m *Metrics) Attach(c prometheus.Collector) (prometheus.Collector, error) {
	if m.closed.Load() {
		return nil, errClosed
	}
	return m.series.attach(c)
}

// Overflow returns the counter of what was counted as "_other" for want of room
// among the series of a part of the program, a constant such as "grpc":
// metrics_overflow_total{of="grpc"}.
func (m *Metrics) Overflow(of string) prometheus.Counter {
	return m.series.overflows.WithLabelValues(validLabel(of))
}

// Close unregisters the series and what was attached, unless another Metrics
// of the same Registerer is still open. What goes on counting counts into
// nothing that is seen. Only the first call counts.
func (m *Metrics) Close() {
	if m.closed.CompareAndSwap(false, true) {
		m.series.release()
	}
}
