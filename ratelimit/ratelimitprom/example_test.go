package ratelimitprom_test

import (
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/ratelimit/ratelimitprom"
)

func ExampleNewCollector() {
	limiter, err := ratelimit.New(ratelimit.Config{Limit: ratelimit.PerMinute(2)})
	if err != nil {
		panic(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(ratelimitprom.NewCollector("api", limiter))

	fmt.Println(limiter.Allow("alice"), limiter.Allow("alice"), limiter.Allow("alice"))

	page := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(page.Body.String()) {
		if strings.HasPrefix(line, "ratelimit_calls_total") || strings.HasPrefix(line, "ratelimit_keys{") {
			fmt.Print(line)
		}
	}
	// Output:
	// true true false
	// ratelimit_calls_total{limiter="api",outcome="allowed"} 2
	// ratelimit_calls_total{limiter="api",outcome="denied"} 1
	// ratelimit_keys{limiter="api"} 1
}
