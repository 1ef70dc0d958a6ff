package retryprom_test

import (
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-go/ballast/retry"
	"github.com/ballast-go/ballast/retry/retryprom"
)

// Each field has another number.
var (
	calls = retry.Stats{
		Retries: 101, Recovered: 102,
		Exhausted: 103, OverBudget: 104, OutOfTime: 105, Permanent: 106, Nested: 107,
	}
	tokens = retry.BudgetStats{Tokens: 2.5, Capacity: 201, Spent: 202, Denied: 203}
	hedges = retry.HedgeStats{
		Calls: 301, Hedges: 302, Wins: 303, OverBudget: 304, Panics: 305,
		Running: 306, Delay: 1500 * time.Millisecond,
	}
)

func TestExposition(t *testing.T) {
	r, b, h := &source[retry.Stats]{stats: calls}, &source[retry.BudgetStats]{stats: tokens}, &source[retry.HedgeStats]{stats: hedges}
	registry := registryOf(t, retryprom.NewCollector("api", r), retryprom.NewBudgetCollector("shared", b), retryprom.NewHedgeCollector("search", h))
	if r.asked+b.asked+h.asked != 0 {
		t.Error("snapshots were taken before a scrape")
	}
	if got := page(t, registry); got != exposition {
		t.Errorf("got:\n%s\nwant:\n%s", got, exposition)
	}
	if r.asked != 1 || b.asked != 1 || h.asked != 1 {
		t.Errorf("a scrape took %d, %d and %d snapshots, want one each", r.asked, b.asked, h.asked)
	}
}

// Two of each kind, and one that takes the place of another.
func TestSeveral(t *testing.T) {
	more, others, third := calls, tokens, hedges
	more.Retries, others.Spent, third.Calls = 7, 8, 9
	r := registryOf(t,
		retryprom.NewCollector("api", &source[retry.Stats]{stats: calls}),
		retryprom.NewCollector("images", &source[retry.Stats]{stats: more}),
		retryprom.NewBudgetCollector("api", &source[retry.BudgetStats]{stats: tokens}),
		retryprom.NewBudgetCollector("images", &source[retry.BudgetStats]{stats: others}),
		retryprom.NewHedgeCollector("api", &source[retry.HedgeStats]{stats: hedges}),
		retryprom.NewHedgeCollector("images", &source[retry.HedgeStats]{stats: third}),
	)
	want(t, r, map[string]float64{
		`retry_retries_total{retrier="api"}`:                             101,
		`retry_retries_total{retrier="images"}`:                          7,
		`retry_budget_attempts_total{budget="api",outcome="allowed"}`:    202,
		`retry_budget_attempts_total{budget="images",outcome="allowed"}`: 8,
		`retry_hedge_calls_total{hedger="api"}`:                          301,
		`retry_hedge_calls_total{hedger="images"}`:                       9,
	})
	for _, replacement := range []prometheus.Collector{
		retryprom.NewCollector("api", &source[retry.Stats]{}),
		retryprom.NewBudgetCollector("api", &source[retry.BudgetStats]{}),
		retryprom.NewHedgeCollector("api", &source[retry.HedgeStats]{}),
	} {
		var already prometheus.AlreadyRegisteredError
		if err := r.Register(replacement); !errors.As(err, &already) {
			t.Fatalf("a second one of the same name: %v", err)
		}
		r.Unregister(already.ExistingCollector)
		r.MustRegister(replacement)
	}
	want(t, r, map[string]float64{`retry_retries_total{retrier="api"}`: 0})
}

func TestNames(t *testing.T) {
	r := registryOf(t, retryprom.NewCollector("a \"quoted\"\nname", &source[retry.Stats]{stats: calls}))
	want(t, r, map[string]float64{`retry_retries_total{retrier="a \"quoted\"\nname"}`: 101})
	if err := r.Register(retryprom.NewCollector("\xff", &source[retry.Stats]{})); err == nil {
		t.Error("a name that is not UTF-8 was registered")
	}
}

// The figures in the package comment.
func TestNumberOfSeries(t *testing.T) {
	for _, tt := range []struct {
		c    prometheus.Collector
		want int
	}{
		{retryprom.NewCollector("", &source[retry.Stats]{}), 7},
		{retryprom.NewBudgetCollector("", &source[retry.BudgetStats]{}), 4},
		{retryprom.NewHedgeCollector("", &source[retry.HedgeStats]{}), 7},
	} {
		if n := len(samples(t, page(t, registryOf(t, tt.c)))); n != tt.want {
			t.Errorf("%d series, want %d", n, tt.want)
		}
	}
}
