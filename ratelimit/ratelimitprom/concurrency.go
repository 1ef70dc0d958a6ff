package ratelimitprom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-go/ballast/ratelimit/concurrency"
)

// NewConcurrencyCollector is [NewCollector] for a *[concurrency.Limiter], with
// the series concurrency_… in the package comment.
func NewConcurrencyCollector(name string, l interface{ Stats() concurrency.Stats }) prometheus.Collector {
	desc := describer("concurrency_", name)
	return &concurrencyCollector{
		source: l,

		permits:  desc("permits_total", "Permits given out."),
		rejected: desc("rejected_total", "Calls that got no permit, by their class and why.", "class", "reason"),
		panics:   desc("pressure_panics_total", "Calls of Config.Pressure that panicked."),

		inFlight:   desc("in_flight", "Permits that are out."),
		limit:      desc("limit", "Permits that may be out at the moment, without regard to the pressure."),
		max:        desc("limit_max", "Permits that may ever be out."),
		bytes:      desc("in_flight_bytes", "Bytes that the permits which are out were acquired for."),
		bytesLimit: desc("limit_bytes", "Bytes that permits may be acquired for, 0 if without a limit."),
		queued:     desc("queue_depth", "Calls that wait for a permit, by their class.", "class"),
		queueLimit: desc("queue_limit", "Calls that may wait for a permit."),
		pressure:   desc("pressure_ratio", "What Config.Pressure last said, 0 to 1."),
		latency:    desc("latency_seconds", "Latency of the last window."),
		baseline:   desc("latency_baseline_seconds", "Latency without contention, as the adaptive limit has measured it."),
	}
}

type concurrencyCollector struct {
	source interface{ Stats() concurrency.Stats }

	permits, rejected, panics *prometheus.Desc

	inFlight, limit, max, bytes, bytesLimit *prometheus.Desc
	queued, queueLimit                      *prometheus.Desc
	pressure, latency, baseline             *prometheus.Desc
}

// Describe names all series beforehand.
func (c *concurrencyCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.permits, c.rejected, c.panics,
		c.inFlight, c.limit, c.max, c.bytes, c.bytesLimit,
		c.queued, c.queueLimit,
		c.pressure, c.latency, c.baseline,
	} {
		to <- d
	}
}

func (c *concurrencyCollector) Collect(to chan<- prometheus.Metric) {
	s, p := c.source.Stats(), page{to}
	p.counter(c.permits, s.Acquired)
	p.counter(c.panics, s.PressurePanics)
	for _, class := range s.Classes {
		c.collectClass(p, class)
	}
	p.gauge(c.inFlight, float64(s.InFlight))
	p.gauge(c.limit, float64(s.Limit))
	p.gauge(c.max, float64(s.Max))
	p.gauge(c.bytes, float64(s.BytesInFlight))
	p.gauge(c.bytesLimit, float64(s.MaxBytes))
	p.gauge(c.queueLimit, float64(s.MaxQueue))
	p.gauge(c.pressure, s.Pressure)
	p.gauge(c.latency, s.Latency.Seconds())
	p.gauge(c.baseline, s.Baseline.Seconds())
}

func (c *concurrencyCollector) collectClass(p page, s concurrency.ClassStats) {
	class := s.Class.String()
	for _, rejected := range []struct {
		reason string
		n      uint64
	}{
		{"queue_full", s.QueueFull},
		{"shed", s.Shed},
		{"displaced", s.Displaced},
		{"timed_out", s.TimedOut},
		{"gone", s.Gone},
		{"too_large", s.TooLarge},
	} {
		p.counter(c.rejected, rejected.n, class, rejected.reason)
	}
	p.gauge(c.queued, float64(s.Queued), class)
}
