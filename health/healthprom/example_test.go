package healthprom_test

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-go/ballast/health"
	"github.com/ballast-go/ballast/health/healthprom"
)

func Example() {
	h, err := health.New(health.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = h.Close(context.Background()) }()
	registry := prometheus.NewRegistry()
	registry.MustRegister(healthprom.NewCollector(h))
	families, err := registry.Gather()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range families {
		fmt.Println(f.GetName())
	}
	// Output:
	// health_live
	// health_ready
	// health_started
	// health_state
}
