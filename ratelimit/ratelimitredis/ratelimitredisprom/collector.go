package ratelimitredisprom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-go/ballast/ratelimit/ratelimitredis"
)

// NewCollector returns a collector of the series in the package comment for l,
// which is a *[ratelimitredis.Limiter] or stands for one, and must not be nil.
// Its name is the label limiter of all series: register a collector for each
// limiter. Registration fails if two have one name, and succeeds if the other
// has been unregistered before.
//
// Each scrape calls l.Stats once.
func NewCollector(name string, l interface{ Stats() ratelimitredis.Stats }) prometheus.Collector {
	c := &collector{source: l}
	add := func(kind prometheus.ValueType, series, help string, values func(ratelimitredis.Stats) []sample, label ...string) {
		c.families = append(c.families, family{
			desc:   prometheus.NewDesc("ratelimitredis_"+series, help, label, prometheus.Labels{"limiter": name}),
			kind:   kind,
			values: values,
		})
	}
	counter := func(name, help string, value func(ratelimitredis.Stats) uint64) {
		add(prometheus.CounterValue, name, help, func(s ratelimitredis.Stats) []sample { return []sample{{float64(value(s)), nil}} })
	}
	gauge := func(name, help string, value func(ratelimitredis.Stats) int) {
		add(prometheus.GaugeValue, name, help, func(s ratelimitredis.Stats) []sample { return []sample{{float64(value(s)), nil}} })
	}
	add(prometheus.CounterValue, "calls_total", "Calls that are over, by what became of them.", calls, "outcome")
	counter("leased_calls_total", "Calls that were allowed by a lease, without Redis.", func(s ratelimitredis.Stats) uint64 { return s.Leased })
	add(prometheus.CounterValue, "returns_total", "Calls of Return, by whether they were booked.", returns, "outcome")
	counter("timeouts_total", "Calls that Redis did not answer in time.", func(s ratelimitredis.Stats) uint64 { return s.Timeouts })
	counter("round_trips_total", "Round trips to Redis.", func(s ratelimitredis.Stats) uint64 { return s.RoundTrips })
	counter("combined_calls_total", "Calls that shared the round trip of another.", func(s ratelimitredis.Stats) uint64 { return s.Combined })
	counter("outages_total", "Times that Redis stopped answering.", func(s ratelimitredis.Stats) uint64 { return s.Outages })
	counter("recoveries_total", "Times that Redis answered again.", func(s ratelimitredis.Stats) uint64 { return s.Recovered })
	add(prometheus.CounterValue, "leases_total", "Leases taken, and those of which a rest was returned or lost.", leases, "event")
	gauge("down_shards", "Shards whose server does not answer.", func(s ratelimitredis.Stats) int { return s.Down })
	gauge("waiting_calls", "Calls that wait to be sent.", func(s ratelimitredis.Stats) int { return s.Waiting })
	gauge("in_flight_round_trips", "Round trips under way.", func(s ratelimitredis.Stats) int { return s.InFlight })
	gauge("leased_keys", "Keys that this process keeps leases of, or the demand for one.", func(s ratelimitredis.Stats) int { return s.LeasedKeys })
	gauge("lease_holders", "Live holders of leases that Redis last told of.", func(s ratelimitredis.Stats) int { return s.Holders })
	return c
}

func calls(s ratelimitredis.Stats) []sample {
	return []sample{
		{float64(s.Allowed), []string{"allowed"}},
		{float64(s.Denied), []string{"denied"}},
		{float64(s.FailedOpen), []string{"failed_open"}},
		{float64(s.FailedClosed), []string{"failed_closed"}},
		{float64(s.FallbackAllowed), []string{"fallback_allowed"}},
		{float64(s.FallbackDenied), []string{"fallback_denied"}},
		{float64(s.Canceled), []string{"canceled"}},
		{float64(s.Refused), []string{"refused"}},
	}
}

func returns(s ratelimitredis.Stats) []sample {
	return []sample{
		{float64(s.Returned), []string{"booked"}},
		{float64(s.ReturnedLost), []string{"lost"}},
	}
}

func leases(s ratelimitredis.Stats) []sample {
	return []sample{
		{float64(s.LeasesTaken), []string{"taken"}},
		{float64(s.LeasesReturned), []string{"returned"}},
		{float64(s.LeasesLost), []string{"lost"}},
	}
}

type collector struct {
	source   interface{ Stats() ratelimitredis.Stats }
	families []family
}

// A family is the series of one name.
type family struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	values func(ratelimitredis.Stats) []sample
}

type sample struct {
	value float64
	label []string
}

// Describe names all series beforehand, so that a limiter that is registered
// twice is found at once, and not at the first scrape.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, f := range c.families {
		to <- f.desc
	}
}

func (c *collector) Collect(to chan<- prometheus.Metric) {
	s := c.source.Stats()
	for _, f := range c.families {
		for _, v := range f.values(s) {
			to <- prometheus.MustNewConstMetric(f.desc, f.kind, v.value, v.label...)
		}
	}
}
