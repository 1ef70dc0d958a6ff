package concurrency_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/ballast-go/ballast/ratelimit/concurrency"
)

var configs = []struct {
	name string
	cfg  concurrency.Config
}{
	{"static", concurrency.Config{Max: 100}},
	{"adaptive", concurrency.Config{Adaptive: &concurrency.Adaptive{}}},
	{"adaptive,pressure", concurrency.Config{Adaptive: &concurrency.Adaptive{}, Pressure: func() float64 { return 0 }}},
}

func BenchmarkAcquireRelease(b *testing.B) {
	for _, c := range configs {
		b.Run(c.name, func(b *testing.B) {
			l := newLimiter(b, c.cfg)
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				p, err := l.Acquire(ctx)
				if err != nil {
					b.Fatal(err)
				}
				p.Release()
			}
		})
	}
}

func BenchmarkAcquireReleaseParallel(b *testing.B) {
	for _, c := range configs {
		b.Run(c.name, func(b *testing.B) {
			l := newLimiter(b, c.cfg)
			ctx := context.Background()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if p, err := l.Acquire(ctx); err == nil {
						p.Release()
					}
				}
			})
		})
	}
}

func BenchmarkRefusal(b *testing.B) {
	l := newLimiter(b, concurrency.Config{Max: 1})
	mustAcquire(b, l)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		_, _ = l.Acquire(ctx)
	}
}

func BenchmarkMiddleware(b *testing.B) {
	inner := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	for _, c := range configs {
		b.Run(c.name, func(b *testing.B) {
			h := concurrency.Middleware(newLimiter(b, c.cfg), concurrency.MiddlewareConfig{})(inner)
			w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		})
	}
}
