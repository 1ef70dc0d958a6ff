package retryprom_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ballast-go/ballast/retry"
	"github.com/ballast-go/ballast/retry/retryprom"
)

// show prints the lines of a registry's page that begin with one of the names.
func show(registry *prometheus.Registry, names ...string) {
	page := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(page.Body.String()) {
		for _, name := range names {
			if strings.HasPrefix(line, name+"{") {
				fmt.Print(line)
			}
		}
	}
}

func ExampleNewCollector() {
	r, err := retry.New(retry.Config{Backoff: retry.FullJitter(time.Millisecond, time.Millisecond)})
	if err != nil {
		panic(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(retryprom.NewCollector("payments", r), retryprom.NewBudgetCollector("payments", r.Budget()))

	err = r.Do(context.Background(), func(ctx context.Context) error {
		if retry.Attempt(ctx) < 3 {
			return errors.New("connection reset")
		}
		return nil
	})
	fmt.Println(err)

	show(registry, "retry_retries_total", "retry_recovered_calls_total", "retry_budget_tokens")
	// Output:
	// <nil>
	// retry_budget_tokens{budget="payments"} 8
	// retry_recovered_calls_total{retrier="payments"} 1
	// retry_retries_total{retrier="payments"} 2
}
