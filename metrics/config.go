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
	maxReasons    = 32  // of rejections
	maxLabelBytes = 256 // of any label's value
)

// Names are a convention of what series and labels are called.
type Names uint8

const (
	// Guide has the names that are in the package's table: http_requests_total
	// and so on.
	Guide Names = iota
	// OTel has those of OpenTelemetry's semantic conventions for HTTP metrics,
	// 1.42.0, as Prometheus spells them: http_server_request_duration_seconds and
	// so on.
	OTel
)

// String returns "Guide" or "OTel".
func (n Names) String() string {
	switch n {
	case Guide:
		return "Guide"
	case OTel:
		return "OTel"
	}
	return fmt.Sprintf("Names(%d)", uint8(n))
}

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
	// such as one of either convention while dashboards move, wrap it for both
	// with prometheus.WrapRegistererWith, with two values of the same label.
	Registerer prometheus.Registerer

	// Gatherer is what Handler serves. Nil means the Registerer, which then
	// must be a prometheus.Gatherer too, as a *prometheus.Registry is and a
	// wrapped one is not.
	Gatherer prometheus.Gatherer

	// MaxSeries is how many combinations of method, endpoint, status and what
	// else a request is counted by get series of their own, 1 to 5000. Zero means
	// 1000. With Guide each is one series in http_requests_total, and each pair of
	// method and endpoint has 40 more in three histograms. With OTel each is 17
	// series in http_server_request_duration_seconds, and each combination of
	// method, route and scheme has 26 more in two.
	//
	// NewTransport has as much room again, so has each other part of the package
	// that says so.
	MaxSeries int

	// MaxModels is how many models can be registered, 1 to 1000. Zero means
	// 100. A model has up to 44 series.
	MaxModels int

	// Names is what the series of HTTP requests are called; those of models are
	// the same in both conventions. Zero is Guide.
	Names Names

	// NativeHistograms gives every histogram native buckets, each at most 9.1 %
	// wider than the one before, and at most 160 of them, beside its classic ones.
	// A Prometheus gets them if it asks for protobuf, which one from version 2.40
	// on does when told to with --enable-feature=native-histograms, and it then
	// keeps them instead of the classic ones. Up to 6 KiB more memory a histogram.
	NativeHistograms bool

	_ struct{}
}

// settings are what two Metrics that share series must agree on.
type settings struct {
	series, models int
	names          Names
	native         bool
}

func (s settings) String() string {
	return fmt.Sprintf("MaxSeries %d, MaxModels %d, Names %v and NativeHistograms %t", s.series, s.models, s.names, s.native)
}

// settings returns c's bounds with their defaults, or all that is wrong with c.
func (c Config) settings() (settings, error) {
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
	s := settings{
		series: bounded("MaxSeries", c.MaxSeries, defaultMaxSeries, upperMaxSeries),
		models: bounded("MaxModels", c.MaxModels, defaultMaxModels, upperMaxModels),
		names:  c.Names,
		native: c.NativeHistograms,
	}
	if c.Names > OTel {
		errs = append(errs, fmt.Errorf("metrics: Config.Names: %v is neither Guide nor OTel", c.Names))
	}
	switch {
	case c.Registerer == nil && c.Gatherer != nil:
		errs = append(errs, errors.New("metrics: Config.Gatherer: is set without a Registerer, so it could not have the series"))
	case c.Registerer != nil && c.gatherer() == nil:
		errs = append(errs, fmt.Errorf("metrics: Config.Gatherer: is nil, and the Registerer, a %T, is not a prometheus.Gatherer", c.Registerer))
	}
	return s, errors.Join(errs...)
}

// gatherer returns what Handler serves, or nil if c does not say.
func (c Config) gatherer() prometheus.Gatherer {
	if c.Gatherer != nil {
		return c.Gatherer
	}
	g, _ := c.Registerer.(prometheus.Gatherer)
	return g
}
