package breaker_test

import (
	"context"
	"testing"
	"time"

	"github.com/ballast-go/ballast/breaker"
)

func newBreaker(tb testing.TB, cfg breaker.Config) *breaker.Breaker {
	tb.Helper()
	b, err := breaker.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func BenchmarkAllowAtDoneAt(b *testing.B) {
	for _, bm := range []struct {
		name string
		cfg  breaker.Config
	}{{"rate", breaker.Config{}}, {"slow", breaker.Config{SlowAfter: time.Second}}} {
		b.Run(bm.name, func(b *testing.B) {
			br := newBreaker(b, bm.cfg)
			var times [1024]time.Time
			begin := time.Now()
			for i := range times {
				times[i] = begin.Add(time.Duration(i) * time.Microsecond)
			}
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				t := times[i%len(times)]
				i++
				p, err := br.AllowAt(t)
				if err != nil {
					b.Fatal(err)
				}
				p.DoneAt(t, breaker.Success)
			}
		})
	}
}

func BenchmarkDo(b *testing.B) {
	nothing := func(context.Context) error { return nil }
	for _, bm := range []struct {
		name string
		cfg  breaker.Config
	}{{"rate", breaker.Config{}}, {"slow", breaker.Config{SlowAfter: time.Second}}} {
		b.Run(bm.name, func(b *testing.B) {
			br := newBreaker(b, bm.cfg)
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if err := br.Do(ctx, nothing); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRejected(b *testing.B) {
	br := newBreaker(b, breaker.Config{OpenFor: time.Hour, MaxOpenFor: time.Hour})
	br.ForceOpen()
	t := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := br.AllowAt(t); err == nil {
			b.Fatal("let through")
		}
	}
}
