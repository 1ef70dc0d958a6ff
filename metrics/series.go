package metrics

import (
	"errors"
	"fmt"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

var errClosed = errors.New("metrics: the Metrics is closed")

// series are all that one Registerer has. They are one Collector, so that they
// are registered all or none, and so that whoever registers them again finds
// the ones that are there.
type series struct {
	settings
	*requests
	models
	overflows *prometheus.CounterVec

	registerer prometheus.Registerer

	mu       sync.Mutex
	users    int // Metrics that are not closed; 0 for good once they are
	attached []prometheus.Collector
}

func newSeries(s settings, reg prometheus.Registerer) *series {
	overflows := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "metrics_overflow_total",
		Help: "Observations that were counted as _other because a bound on the number of series was reached.",
	}, []string{"of"})
	return &series{
		settings:   s,
		requests:   newRequests(s, overflows),
		models:     newModels(s, overflows),
		overflows:  overflows,
		registerer: reg,
		users:      1,
	}
}

// register returns fresh, or the series that reg has already.
func register(reg prometheus.Registerer, fresh *series) (*series, error) {
	for closed := (*series)(nil); ; {
		err := reg.Register(fresh)
		if err == nil {
			return fresh, nil
		}
		again, ok := errors.AsType[prometheus.AlreadyRegisteredError](err)
		if !ok {
			return nil, inTheWay(err)
		}
		s, ok := again.ExistingCollector.(*series)
		if !ok {
			return nil, inTheWay(err)
		}
		if s.settings != fresh.settings {
			return nil, fmt.Errorf("metrics: Config.Registerer: has a Metrics already, with %v instead of %v", s.settings, fresh.settings)
		}
		if s.join() {
			return s, nil
		}
		// Its last user has closed it in between: it is gone.
		if s == closed {
			return nil, fmt.Errorf("metrics: Config.Registerer: a %T, does not unregister", reg)
		}
		closed = s
	}
}

func inTheWay(err error) error {
	return fmt.Errorf("metrics: Config.Registerer: another collector is in the way: %w", err)
}

func (s *series) join() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users == 0 {
		return false
	}
	s.users++
	return true
}

func (s *series) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.users > 0 {
		return
	}
	// s last: as long as it is there a New waits for the lock, in join, and so attaches
	// nothing that it would find here and lose.
	for _, c := range s.attached {
		s.registerer.Unregister(c)
	}
	s.attached = nil
	s.registerer.Unregister(s)
}

func (s *series) attach(c prometheus.Collector) (prometheus.Collector, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users == 0 {
		return nil, errClosed
	}
	err := s.registerer.Register(c)
	if err == nil {
		s.attached = append(s.attached, c)
		return c, nil
	}
	if again, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		return again.ExistingCollector, nil
	}
	return nil, inTheWay(err)
}

// group is several collectors as one.
type group []prometheus.Collector

func (g group) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range g {
		c.Describe(ch)
	}
}

func (g group) Collect(ch chan<- prometheus.Metric) {
	for _, c := range g {
		c.Collect(ch)
	}
}

func (s *series) collectors() group {
	return append(s.requests.collectors(), s.info, s.failures, s.inference, s.overflows)
}

// Describe implements prometheus.Collector.
func (s *series) Describe(ch chan<- *prometheus.Desc) { s.collectors().Describe(ch) }

// Collect implements prometheus.Collector.
func (s *series) Collect(ch chan<- prometheus.Metric) { s.collectors().Collect(ch) }
