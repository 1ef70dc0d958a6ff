package ratelimitprom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-go/ballast/ratelimit"
)

// NewCollector returns a collector of the series ratelimit_… in the package
// comment for l, which is a *[ratelimit.Keyed] or stands for one, and must not
// be nil. Its name is the label limiter of all series: register a collector for
// each limiter. Registration fails if two have one name, and succeeds if the
// other has been unregistered before.
//
// Each scrape calls l.Stats once.
func NewCollector(name string, l interface{ Stats() ratelimit.Stats }) prometheus.Collector {
	desc := describer("ratelimit_", name)
	return &collector{
		source: l,

		calls:    desc("calls_total", "Calls that were decided, by what was decided.", "outcome"),
		overflow: desc("overflow_calls_total", "Calls that a shared cell decided or was charged with, for want of room."),
		reused:   desc("reused_cells_total", "How often a key got the cell of another that had recovered."),
		keys:     desc("keys", "Keys that have used some of their burst and not recovered all of it."),
		limit:    desc("keys_limit", "Keys that there are cells for."),
	}
}

type collector struct {
	source interface{ Stats() ratelimit.Stats }

	calls, overflow, reused, keys, limit *prometheus.Desc
}

// Describe names all series beforehand, so that a limiter that is registered
// twice is found at once, and not at the first scrape.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.calls, c.overflow, c.reused, c.keys, c.limit} {
		to <- d
	}
}

func (c *collector) Collect(to chan<- prometheus.Metric) {
	s, p := c.source.Stats(), page{to}
	p.counter(c.calls, s.Allowed, "allowed")
	p.counter(c.calls, s.Denied, "denied")
	p.counter(c.overflow, s.Overflow)
	p.counter(c.reused, s.Reused)
	p.gauge(c.keys, float64(s.Keys))
	p.gauge(c.limit, float64(s.Capacity))
}
