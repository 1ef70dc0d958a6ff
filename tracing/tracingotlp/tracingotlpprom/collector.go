package tracingotlpprom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-go/ballast/tracing/tracingotlp"
)

// NewCollector returns a collector of the series in the package comment for p,
// which is a *[tracingotlp.Provider] or stands for one, and must not be nil. Its
// name is the label provider of all series: register a collector for each
// provider. Registration fails if two have one name, and succeeds if the other
// has been unregistered before.
//
// Each scrape calls p.Stats once.
func NewCollector(name string, p interface{ Stats() tracingotlp.Stats }) prometheus.Collector {
	desc := func(series, help string, label ...string) *prometheus.Desc {
		return prometheus.NewDesc("tracingotlp_"+series, help, label, prometheus.Labels{"provider": name})
	}
	return &collector{
		source:   p,
		started:  desc("spans_started_total", "Sampled spans that began."),
		spans:    desc("spans_total", "Sampled spans that ended, by what became of them.", "outcome"),
		requests: desc("requests_total", "Requests to the collector, by whether it accepted them.", "outcome"),
		open:     desc("open_spans", "Sampled spans that have not ended."),
		queued:   desc("queue_spans", "Spans that ended and that the collector does not have yet."),
		bytes:    desc("queue_bytes", "What the spans in the queue take in memory."),
		capacity: desc("queue_capacity_spans", "How many spans there may be in the queue."),
	}
}

type collector struct {
	source                        interface{ Stats() tracingotlp.Stats }
	started, spans, requests      *prometheus.Desc
	open, queued, bytes, capacity *prometheus.Desc
}

// Describe names all series beforehand, so that a provider that is registered
// twice is found at once, and not at the first scrape.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.started, c.spans, c.requests, c.open, c.queued, c.bytes, c.capacity} {
		to <- d
	}
}

func (c *collector) Collect(to chan<- prometheus.Metric) {
	s := c.source.Stats()
	counter := func(d *prometheus.Desc, n uint64, label ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), label...)
	}
	gauge := func(d *prometheus.Desc, n int) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n))
	}
	counter(c.started, s.Started)
	counter(c.spans, s.Exported, "exported")
	counter(c.spans, s.Rejected, "rejected")
	counter(c.spans, s.Failed, "failed")
	counter(c.spans, s.DroppedFull, "dropped_full")
	counter(c.spans, s.DroppedLarge, "dropped_large")
	counter(c.spans, s.DroppedClosed, "dropped_closed")
	counter(c.requests, s.Requests-s.FailedRequests, "accepted")
	counter(c.requests, s.FailedRequests, "failed")
	gauge(c.open, int(s.Started-s.Ended))
	gauge(c.queued, s.Queued)
	gauge(c.bytes, s.QueuedBytes)
	gauge(c.capacity, s.QueueSize)
}
