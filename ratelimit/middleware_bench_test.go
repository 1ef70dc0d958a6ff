//go:build unix

package ratelimit_test

import (
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/ballast-go/ballast/ratelimit"
)

// cpuTime returns what the process has used, all threads and the collector.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// blank is a response that costs nothing.
type blank struct{ h http.Header }

func (b *blank) Header() http.Header         { return b.h }
func (b *blank) Write(p []byte) (int, error) { return len(p), nil }
func (b *blank) WriteHeader(int)             {}

func benchHTTP(b *testing.B, h http.Handler) {
	w, r := &blank{make(http.Header)}, httptest.NewRequest("GET", "/", nil)
	h.ServeHTTP(w, r)
	b.ReportAllocs()
	start := cpuTime()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
	b.ReportMetric(float64(cpuTime()-start)/float64(b.N), "cpu-ns/op")
}

// BenchmarkMiddleware has what an allowed request costs with the header fields:
// alone is with a reading of the clock, in-chain minus state without.
func BenchmarkMiddleware(b *testing.B) {
	leaf := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	l := mustNew(b, ratelimit.Limit{Rate: 1e9, Burst: 1 << 30})
	own := ratelimit.Middleware(l, ratelimit.MiddlewareConfig{Key: ratelimit.ByClientIP(nil)})
	o := new(forgetful)
	b.Run("bare", func(b *testing.B) { benchHTTP(b, leaf) })
	b.Run("alone", func(b *testing.B) { benchHTTP(b, own(leaf)) })
	b.Run("state", func(b *testing.B) { benchHTTP(b, o.around(leaf)) })
	b.Run("in-chain", func(b *testing.B) { benchHTTP(b, o.around(own(leaf))) })
}

func BenchmarkSetHeaders(b *testing.B) {
	d := ratelimit.Decision{OK: true, Limit: ratelimit.PerMinute(100), Remaining: 50, ResetAfter: 30 * time.Second}
	h := http.Header{}
	b.ReportAllocs()
	for b.Loop() {
		d.SetHeaders(h)
	}
}

func BenchmarkByClientIP(b *testing.B) {
	for name, r := range map[string]*http.Request{
		"IPv4":  from("192.0.2.1:1234"),
		"IPv6":  from("[2001:db8:1:2:3:4:5:6]:1234"),
		"proxy": from("10.0.0.1:1234", "203.0.113.9, 192.0.2.1"),
	} {
		key := ratelimit.ByClientIP(prefixes("10.0.0.0/8"))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				key(r)
			}
		})
	}
}
