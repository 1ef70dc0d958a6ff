package breakerprom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-go/ballast/breaker"
)

// series are those of one name. A breaker's own and a group's have the same
// labels, fixed and variable ones alike: a registry would not take both else.
type series struct {
	state *prometheus.Desc

	calls, slow, rejected, opened, expired *prometheus.Desc

	windowCalls, windowFailures, windowSlow *prometheus.Desc
	retryAfter, share                       *prometheus.Desc
}

func newSeries(name string) series {
	labels := prometheus.Labels{"breaker": name}
	desc := func(name, help string, label ...string) *prometheus.Desc {
		return prometheus.NewDesc("breaker_"+name, help, append([]string{"key"}, label...), labels)
	}
	return series{
		state: desc("state", "1 for the state that the breaker is in, else 0.", "state"),

		calls:    desc("calls_total", "Outcomes that were reported, by what they say.", "outcome"),
		slow:     desc("slow_calls_total", "Successes and failures that took SlowAfter or longer."),
		rejected: desc("rejected_total", "Calls that were not let through."),
		opened:   desc("opened_total", "How often the breaker opened, ForceOpen aside."),
		expired:  desc("expired_probes_total", "Probes that did not report in time."),

		windowCalls:    desc("window_calls", "Successes and failures in the window."),
		windowFailures: desc("window_failure_ratio", "How many of them are failures, 0 to 1."),
		windowSlow:     desc("window_slow_ratio", "How many of them are slow, 0 to 1."),
		retryAfter:     desc("retry_after_seconds", "Time until a call may be let through, 0 if one may be now."),
		share:          desc("share_ratio", "How much of the calls is let through, 0 open to 1 closed."),
	}
}

// Describe names all series beforehand, so that two of one name are found when
// they are registered, and not at the first scrape.
func (s *series) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		s.state,
		s.calls, s.slow, s.rejected, s.opened, s.expired,
		s.windowCalls, s.windowFailures, s.windowSlow,
		s.retryAfter, s.share,
	} {
		to <- d
	}
}

// collect sends the series of one breaker. key must be UTF-8.
func (s *series) collect(to chan<- prometheus.Metric, key string, stats breaker.Stats) {
	gauge := func(d *prometheus.Desc, v float64, label ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{key}, label...)...)
	}
	counter := func(d *prometheus.Desc, n uint64, label ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), append([]string{key}, label...)...)
	}
	for state := breaker.Closed; state <= breaker.ForcedClosed; state++ {
		is := 0.0
		if state == stats.State {
			is = 1
		}
		gauge(s.state, is, state.String())
	}
	counter(s.calls, stats.Successes, "success")
	counter(s.calls, stats.Failures, "failure")
	counter(s.calls, stats.Ignored, "ignored")
	counter(s.calls, stats.Late, "late")
	counter(s.slow, stats.Slow)
	counter(s.rejected, stats.Rejected)
	counter(s.opened, stats.Opened)
	counter(s.expired, stats.ExpiredProbes)
	gauge(s.windowCalls, float64(stats.WindowCalls))
	gauge(s.windowFailures, stats.WindowFailureRate)
	gauge(s.windowSlow, stats.WindowSlowRate)
	gauge(s.retryAfter, stats.RetryAfter.Seconds())
	gauge(s.share, stats.Share)
}
