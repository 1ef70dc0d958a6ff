package retryprom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-go/ballast/retry"
)

// NewCollector returns a collector of the series of retriers in the package
// comment for r, which is a *[retry.Retrier] or stands for one, and must not be
// nil. Its name is the label retrier of all series: register a collector for
// each retrier. Registration fails if two have one name, and succeeds if the
// other has been unregistered before.
//
// Each scrape calls r.Stats once.
func NewCollector(name string, r interface{ Stats() retry.Stats }) prometheus.Collector {
	desc := describer("retry_", "retrier", name)
	return &collector{
		source: r,

		retries:   desc("retries_total", "Attempts after the first of a call."),
		recovered: desc("recovered_calls_total", "Calls that succeeded after a failed attempt."),
		givenUp:   desc("given_up_calls_total", "Calls that failed and were not tried again, by why.", "reason"),
	}
}

type collector struct {
	source interface{ Stats() retry.Stats }

	retries, recovered, givenUp *prometheus.Desc
}

// Describe names all series beforehand, so that a retrier that is registered
// twice is found at once, and not at the first scrape.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.retries, c.recovered, c.givenUp} {
		to <- d
	}
}

func (c *collector) Collect(to chan<- prometheus.Metric) {
	s, p := c.source.Stats(), page{to}
	p.counter(c.retries, s.Retries)
	p.counter(c.recovered, s.Recovered)
	p.counter(c.givenUp, s.Exhausted, "exhausted")
	p.counter(c.givenUp, s.OverBudget, "over_budget")
	p.counter(c.givenUp, s.OutOfTime, "out_of_time")
	p.counter(c.givenUp, s.Permanent, "permanent")
	p.counter(c.givenUp, s.Nested, "nested")
}
