package ratelimit_test

import (
	"testing"
	"time"

	"github.com/ballast-go/ballast/ratelimit"
)

// Beside its peers, and with many keys: benchmarks/ratelimit.
func BenchmarkKeyed(b *testing.B) {
	plenty := ratelimit.Config{Limit: ratelimit.Limit{Rate: 1e9, Burst: 1 << 50}}
	now := time.Now()
	b.Run("AllowAt", func(b *testing.B) {
		k := newKeyed(b, plenty)
		b.ReportAllocs()
		for b.Loop() {
			k.AllowAt(now, "user-1", 1)
		}
	})
	b.Run("AllowAt/denied", func(b *testing.B) {
		k := newKeyed(b, ratelimit.Config{Limit: ratelimit.PerHour(1)})
		b.ReportAllocs()
		for b.Loop() {
			k.AllowAt(now, "user-1", 1)
		}
	})
	b.Run("AllowAt/contended", func(b *testing.B) {
		k := newKeyed(b, plenty)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				k.AllowAt(now, "user-1", 1)
			}
		})
	})
	b.Run("Allow", func(b *testing.B) {
		k := newKeyed(b, plenty)
		b.ReportAllocs()
		for b.Loop() {
			k.Allow("user-1")
		}
	})
}
