package ratelimit_test

import (
	"context"
	"testing"

	"github.com/ballast-go/ballast/ratelimit"
)

// Three rules with keys and costs of their own, let through and turned away.
func TestAllAllocatesNothing(t *testing.T) {
	ctx := context.Background()
	l := ratelimit.All(
		ratelimit.Rule{Name: "requests", Limiter: keyed(t, ratelimit.PerSecond(1e9)), Cost: once},
		ratelimit.Rule{Name: "tokens", Limiter: keyed(t, ratelimit.PerSecond(1e9))},
		ratelimit.Rule{Name: "tenant", Limiter: keyed(t, ratelimit.PerSecond(1e9)), Key: constant("tenant")},
	)
	if n := testing.AllocsPerRun(100, func() {
		if d, err := l.AllowN(ctx, "key", 7); !d.OK || err != nil {
			t.Fatal(d, err)
		}
	}); n != 0 {
		t.Errorf("let through: %v allocations", n)
	}
	l = ratelimit.All(
		ratelimit.Rule{Name: "requests", Limiter: keyed(t, ratelimit.PerSecond(1e9)), Cost: once},
		ratelimit.Rule{Name: "tokens", Limiter: keyed(t, ratelimit.PerHour(1))},
	)
	if n := testing.AllocsPerRun(100, func() {
		if d, err := l.AllowN(ctx, "key", 7); d.OK || d.Rule != "tokens" || err != nil {
			t.Fatal(d, err)
		}
	}); n != 0 {
		t.Errorf("turned away: %v allocations", n)
	}
}
