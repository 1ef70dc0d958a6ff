package retryprom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-go/ballast/retry"
)

// NewBudgetCollector is [NewCollector] for a *[retry.Budget], with the series of
// budgets in the package comment. Its name is the label budget of all of them. A
// budget that several retriers and hedgers share needs one collector, and one
// that is a retrier's own is found by its Budget method.
func NewBudgetCollector(name string, b interface{ Stats() retry.BudgetStats }) prometheus.Collector {
	desc := describer("retry_budget_", "budget", name)
	return &budgetCollector{
		source: b,

		attempts: desc("attempts_total", "Retries and hedges that were asked for, by what the budget said.", "outcome"),
		tokens:   desc("tokens", "Retries and hedges that could be made at once."),
		limit:    desc("tokens_limit", "Tokens that there may be at most."),
	}
}

type budgetCollector struct {
	source interface{ Stats() retry.BudgetStats }

	attempts, tokens, limit *prometheus.Desc
}

// Describe names all series beforehand.
func (c *budgetCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.attempts, c.tokens, c.limit} {
		to <- d
	}
}

func (c *budgetCollector) Collect(to chan<- prometheus.Metric) {
	s, p := c.source.Stats(), page{to}
	p.counter(c.attempts, s.Spent, "allowed")
	p.counter(c.attempts, s.Denied, "denied")
	p.gauge(c.tokens, s.Tokens)
	p.gauge(c.limit, s.Capacity)
}
