package breakerprom_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ballast-go/ballast/breaker"
	"github.com/ballast-go/ballast/breaker/breakerprom"
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
	b, err := breaker.New(breaker.Config{Name: "payments", ConsecutiveFailures: 2})
	if err != nil {
		panic(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(breakerprom.NewCollector(b))

	for range 3 {
		err := b.Do(context.Background(), func(context.Context) error { return errors.New("no route to host") })
		fmt.Println(errors.Is(err, breaker.ErrOpen))
	}

	show(registry, "breaker_rejected_total", "breaker_opened_total")
	// Output:
	// false
	// false
	// true
	// breaker_opened_total{breaker="payments",key=""} 1
	// breaker_rejected_total{breaker="payments",key=""} 1
}

func ExampleNewGroupCollector() {
	byModel, err := breaker.NewGroup(breaker.GroupConfig[string]{Breaker: breaker.Config{ConsecutiveFailures: 2}})
	if err != nil {
		panic(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(breakerprom.NewGroupCollector("models", byModel))

	for range 2 {
		_ = byModel.Get("large").Do(context.Background(), func(context.Context) error { return errors.New("out of memory") })
		_ = byModel.Get("small").Do(context.Background(), func(context.Context) error { return nil })
	}

	show(registry, "breaker_share_ratio")
	// Output:
	// breaker_share_ratio{breaker="models",key=""} 1
	// breaker_share_ratio{breaker="models",key="large"} 0
	// breaker_share_ratio{breaker="models",key="small"} 1
}
