package healthprom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-go/ballast/health"
)

// NewCollector returns a collector of the series in the package comment for h,
// which is a *[health.Health] or stands for one, and must not be nil.
//
// A process has one Health, so the series have no label that tells one from
// another: a second collector in the same registry is refused.
func NewCollector(h interface{ Stats() health.Stats }) prometheus.Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("health_"+name, help, labels, nil)
	}
	return &collector{
		source:   h,
		state:    desc("state", "1 for the state that the process is in, else 0.", "state"),
		live:     desc("live", "1 unless only a restart can cure the process, else 0."),
		started:  desc("started", "1 once every startup check has passed, else 0."),
		ready:    desc("ready", "1 if the process should get traffic, else 0."),
		ok:       desc("check_ok", "1 if the check passes and its result is fresh, else 0.", "check", "kind"),
		hung:     desc("check_hung", "1 while a run of the check goes on after its timeout, else 0.", "check", "kind"),
		took:     desc("check_duration_seconds", "How long the last run of the check took.", "check", "kind"),
		runs:     desc("check_runs_total", "Runs of the check that have ended or timed out.", "check", "kind"),
		failures: desc("check_failures_total", "Runs of the check that did not pass.", "check", "kind"),
	}
}

type collector struct {
	source interface{ Stats() health.Stats }

	state, live, started, ready    *prometheus.Desc
	ok, hung, took, runs, failures *prometheus.Desc
}

// Describe names all series beforehand, so that a second collector is found when
// it is registered, and not at the first scrape.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.state, c.live, c.started, c.ready, c.ok, c.hung, c.took, c.runs, c.failures} {
		to <- d
	}
}

// Collect sends what one Stats says.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	s := c.source.Stats()
	for _, state := range []health.State{
		health.StateStarting, health.StateHealthy, health.StateDegraded, health.StateUnhealthy, health.StateDraining,
	} {
		send(c.state, prometheus.GaugeValue, number(s.State == state), string(state))
	}
	send(c.live, prometheus.GaugeValue, number(s.Live))
	send(c.started, prometheus.GaugeValue, number(s.Started))
	send(c.ready, prometheus.GaugeValue, number(s.Ready))
	for _, one := range s.Checks {
		labels := []string{one.Name, string(one.Kind)}
		send(c.ok, prometheus.GaugeValue, number(one.OK), labels...)
		send(c.hung, prometheus.GaugeValue, number(one.Hung), labels...)
		if one.Runs > 0 {
			send(c.took, prometheus.GaugeValue, one.Took.Seconds(), labels...)
		}
		send(c.runs, prometheus.CounterValue, float64(one.Runs), labels...)
		send(c.failures, prometheus.CounterValue, float64(one.Failures), labels...)
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
