package metrics

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	defaultMaxSeries = 1000
	defaultMaxModels = 100

	// upperMaxSeries bounds the cost of filling a table, which copies it for
	// each entry: one to two seconds of CPU in all at this size (measured), 50 ms
	// at the default.
	upperMaxSeries = 5000
	upperMaxModels = 1000

	maxErrorTypes = 32  // a model
	maxLabelBytes = 256 // of any label's value
)

// Config says where the series go and how many there may be. The zero value
// is useful: a registry of its own with the default bounds.
type Config struct {
	// Registerer takes the series, all or none. Nil means a new
	// prometheus.Registry, never the global one, that also has the Go
	// runtime's and the process's collectors (go_*, process_*), which is all
	// that a service without Prometheus yet needs. To have the global one, say
	// prometheus.DefaultRegisterer.
	//
	// Every New with the same Registerer gives a Metrics that counts into the
	// same series, within the same bounds, and a request that passes both
	// their middlewares is counted once. To keep two apart in one registry,
	// wrap it with prometheus.WrapRegistererWith.
	Registerer prometheus.Registerer

	// Gatherer is what Handler serves. Nil means the Registerer, which then
	// must be a prometheus.Gatherer too, as a *prometheus.Registry is and a
	// wrapped one is not.
	Gatherer prometheus.Gatherer

	// MaxSeries is how many combinations of method, endpoint and status get
	// series of their own, 1 to 5000. Zero means 1000. Each is one series in
	// http_requests_total; each pair of method and endpoint has 14 more in
	// http_request_duration_seconds.
	MaxSeries int

	// MaxModels is how many models can be registered, 1 to 1000. Zero means
	// 100. A model has up to 44 series.
	MaxModels int

	_ struct{}
}

// limits are what two Metrics that share series must agree on.
type limits struct{ series, models int }

// limits returns c's bounds with their defaults, or all that is wrong with c.
func (c Config) limits() (limits, error) {
	var errs []error
	bounded := func(field string, n, otherwise, upper int) int {
		if n == 0 {
			return otherwise
		}
		if n < 1 || n > upper {
			errs = append(errs, fmt.Errorf("metrics: Config.%s: %d is not between 1 and %d", field, n, upper))
		}
		return n
	}
	l := limits{
		series: bounded("MaxSeries", c.MaxSeries, defaultMaxSeries, upperMaxSeries),
		models: bounded("MaxModels", c.MaxModels, defaultMaxModels, upperMaxModels),
	}
	switch {
	case c.Registerer == nil && c.Gatherer != nil:
		errs = append(errs, errors.New("metrics: Config.Gatherer: is set without a Registerer, so it could not have the series"))
	case c.Registerer != nil && c.gatherer() == nil:
		errs = append(errs, fmt.Errorf("metrics: Config.Gatherer: is nil, and the Registerer, a %T, is not a prometheus.Gatherer", c.Registerer))
	}
	return l, errors.Join(errs...)
}

// gatherer returns what Handler serves, or nil if c does not say.
func (c Config) gatherer() prometheus.Gatherer {
	if c.Gatherer != nil {
		return c.Gatherer
	}
	g, _ := c.Registerer.(prometheus.Gatherer)
	return g
}
