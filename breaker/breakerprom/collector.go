package breakerprom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-go/ballast/breaker"
)

// NewCollector returns a collector of the series in the package comment for b,
// which is a *[breaker.Breaker] or stands for one, and must not be nil.
//
// Its name is read here, once: it is the label breaker of all series, and their
// key is "", which Prometheus takes for none. Register a collector for each
// breaker. Registration fails if two have one name, or one has the name of a
// group, and succeeds if the other collector has been unregistered before.
//
// Each scrape calls b.Stats once.
func NewCollector(b interface {
	Name() string
	Stats() breaker.Stats
}) prometheus.Collector {
	return &collector{newSeries(b.Name()), b}
}

type collector struct {
	series
	source interface{ Stats() breaker.Stats }
}

func (c *collector) Collect(to chan<- prometheus.Metric) { c.collect(to, "", c.source.Stats()) }
