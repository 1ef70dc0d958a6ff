package retryprom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-go/ballast/retry"
)

// NewHedgeCollector is [NewCollector] for a *[retry.Hedger], with the series of
// hedgers in the package comment. Its name is the label hedger of all of them.
func NewHedgeCollector(name string, h interface{ Stats() retry.HedgeStats }) prometheus.Collector {
	desc := describer("retry_hedge_", "hedger", name)
	return &hedgeCollector{
		source: h,

		calls:      desc("calls_total", "Calls of Hedge."),
		attempts:   desc("attempts_total", "Attempts besides the first of a call."),
		wins:       desc("wins_total", "Calls that an attempt besides the first answered."),
		overBudget: desc("over_budget_total", "Attempts that were not made for want of budget."),
		panics:     desc("panics_total", "Losers, and calls of discard for them, that panicked: nobody else hears of them."),
		running:    desc("running_attempts", "Losers that have not returned yet, though their call is over."),
		delay:      desc("delay_seconds", "Time until the second attempt of a call, 0 while too little is known."),
	}
}

type hedgeCollector struct {
	source interface{ Stats() retry.HedgeStats }

	calls, attempts, wins, overBudget, panics *prometheus.Desc
	running, delay                            *prometheus.Desc
}

// Describe names all series beforehand.
func (c *hedgeCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.calls, c.attempts, c.wins, c.overBudget, c.panics,
		c.running, c.delay,
	} {
		to <- d
	}
}

func (c *hedgeCollector) Collect(to chan<- prometheus.Metric) {
	s, p := c.source.Stats(), page{to}
	p.counter(c.calls, s.Calls)
	p.counter(c.attempts, s.Hedges)
	p.counter(c.wins, s.Wins)
	p.counter(c.overBudget, s.OverBudget)
	p.counter(c.panics, s.Panics)
	p.gauge(c.running, float64(s.Running))
	p.gauge(c.delay, s.Delay.Seconds())
}
