package ratelimit_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/ballast-go/ballast/ratelimit"
)

// What All adds to the limiters that it asks.
func BenchmarkAll(b *testing.B) {
	ctx := context.Background()
	free := ratelimit.Limit{Rate: 1e9, Burst: 1 << 40}
	b.Run("one limiter", func(b *testing.B) {
		k := keyed(b, free)
		for b.Loop() {
			k.AllowN(ctx, "key", 1)
		}
	})
	for _, n := range []int{1, 3, 6} {
		b.Run(fmt.Sprintf("%d rules", n), func(b *testing.B) {
			var rules []ratelimit.Rule
			for i := range n {
				rules = append(rules, ratelimit.Rule{Name: fmt.Sprint(i), Limiter: keyed(b, free)})
			}
			l := ratelimit.All(rules...)
			b.ReportAllocs()
			for b.Loop() {
				l.AllowN(ctx, "key", 1)
			}
		})
	}
	b.Run("denied by the second of 2", func(b *testing.B) {
		l := ratelimit.All(
			ratelimit.Rule{Name: "a", Limiter: keyed(b, free)},
			ratelimit.Rule{Name: "b", Limiter: keyed(b, ratelimit.PerHour(1))},
		)
		b.ReportAllocs()
		for b.Loop() {
			l.AllowN(ctx, "key", 1)
		}
	})
}

// A reservation from beginning to end.
func BenchmarkReserve(b *testing.B) {
	ctx := context.Background()
	k := keyed(b, ratelimit.Limit{Rate: 1e9, Burst: 1 << 40})
	b.ReportAllocs()
	for b.Loop() {
		r, _, err := ratelimit.Reserve(ctx, k, "key", 100)
		if err != nil {
			b.Fatal(err)
		}
		r.Extend(100)
		r.Commit(150)
	}
}
