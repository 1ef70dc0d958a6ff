package metrics

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics counts requests, through Middleware, and models' work, through
// Model. Make one with New.
type Metrics struct {
	series  *series
	handler http.Handler
}

// New registers the series and returns what counts into them.
//
// It returns all that is wrong with the Config at once. If the Registerer has
// a foreign collector with one of the series' names, or a Metrics with other
// bounds, that is an error, and nothing is registered.
func New(c Config) (*Metrics, error) {
	l, err := c.limits()
	if err != nil {
		return nil, err
	}
	if c.Registerer == nil {
		registry := prometheus.NewRegistry()
		registry.MustRegister(
			collectors.NewGoCollector(),
			collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		)
		c.Registerer = registry
	}
	s, err := register(c.Registerer, newSeries(l))
	if err != nil {
		return nil, err
	}
	// OpenMetrics from the start: turning it on later would rename buckets, for
	// it writes le="1.0" where the text format writes le="1".
	return &Metrics{series: s, handler: promhttp.HandlerFor(c.gatherer(), promhttp.HandlerOpts{EnableOpenMetrics: true})}, nil
}

// Handler serves the Gatherer's series to Prometheus: as text or, if asked
// for, as OpenMetrics or protobuf, compressed if the client takes gzip. If
// gathering fails, be it another's collector, it answers 500. Scrapes that go
// through Middleware are counted like any request.
func (m *Metrics) Handler() http.Handler { return m.handler }

// series are all that one Registerer has. They are one Collector, so that they
// are registered all or none, and so that whoever registers them again finds
// the ones that are there.
type series struct {
	limits
	requests
	models
}

func newSeries(l limits) *series {
	return &series{limits: l, requests: newRequests(l.series), models: newModels(l.models)}
}

// register returns fresh, or the series that reg has already.
func register(reg prometheus.Registerer, fresh *series) (*series, error) {
	err := reg.Register(fresh)
	if err == nil {
		return fresh, nil
	}
	if again, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if s, ok := again.ExistingCollector.(*series); ok {
			if s.limits == fresh.limits {
				return s, nil
			}
			return nil, fmt.Errorf("metrics: Config.Registerer: has a Metrics already, with MaxSeries %d and MaxModels %d instead of %d and %d",
				s.limits.series, s.limits.models, fresh.limits.series, fresh.limits.models)
		}
	}
	return nil, fmt.Errorf("metrics: Config.Registerer: another collector is in the way: %w", err)
}

func (s *series) collectors() [6]prometheus.Collector {
	return [...]prometheus.Collector{s.total, s.duration, s.active, s.info, s.failures, s.inference}
}

// Describe implements prometheus.Collector.
func (s *series) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range s.collectors() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (s *series) Collect(ch chan<- prometheus.Metric) {
	for _, c := range s.collectors() {
		c.Collect(ch)
	}
}
