package ratelimitprom_test

import (
	"context"
	"errors"
	"testing"

	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/ratelimit/concurrency"
	"github.com/ballast-go/ballast/ratelimit/ratelimitprom"
)

// What the callers of a real limiter saw is what Prometheus sees.
func TestKeyed(t *testing.T) {
	l, err := ratelimit.New(ratelimit.Config{Limit: ratelimit.PerHour(3), MaxKeys: 1000})
	if err != nil {
		t.Fatal(err)
	}
	r := registryOf(t, ratelimitprom.NewCollector("api", l))
	allowed, denied := 0.0, 0.0
	for range 5 {
		for _, key := range []string{"a", "b"} {
			if l.Allow(key) {
				allowed++
			} else {
				denied++
			}
		}
	}
	if allowed != 6 || denied != 4 {
		t.Fatalf("%v allowed, %v denied", allowed, denied)
	}
	want(t, r, map[string]float64{
		`ratelimit_calls_total{limiter="api",outcome="allowed"}`: allowed,
		`ratelimit_calls_total{limiter="api",outcome="denied"}`:  denied,
		`ratelimit_keys{limiter="api"}`:                          2,
		`ratelimit_keys_limit{limiter="api"}`:                    float64(l.Stats().Capacity),
		`ratelimit_overflow_calls_total{limiter="api"}`:          0,
	})
}

func TestConcurrency(t *testing.T) {
	l, err := concurrency.New(concurrency.Config{Max: 2})
	if err != nil {
		t.Fatal(err)
	}
	r := registryOf(t, ratelimitprom.NewConcurrencyCollector("backend", l))
	batch := concurrency.ContextWithCriticality(t.Context(), concurrency.CriticalPlus)
	var held []*concurrency.Permit
	for range 2 {
		p, err := l.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, p)
	}
	for _, ctx := range []context.Context{t.Context(), batch, batch} {
		if _, err := l.Acquire(ctx); !errors.Is(err, concurrency.ErrQueueFull) {
			t.Fatal(err)
		}
	}
	want(t, r, map[string]float64{
		`concurrency_permits_total{limiter="backend"}`:                                            2,
		`concurrency_in_flight{limiter="backend"}`:                                                2,
		`concurrency_limit{limiter="backend"}`:                                                    2,
		`concurrency_rejected_total{class="critical",limiter="backend",reason="queue_full"}`:      1,
		`concurrency_rejected_total{class="critical-plus",limiter="backend",reason="queue_full"}`: 2,
	})
	for _, p := range held {
		p.Release()
	}
	want(t, r, map[string]float64{`concurrency_in_flight{limiter="backend"}`: 0})
}
