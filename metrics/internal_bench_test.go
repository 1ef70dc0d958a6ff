package metrics

import (
	"testing"
	"time"

	"github.com/ballast-go/ballast/internal/reqstate"
)

// BenchmarkFinish is the counting alone.
func BenchmarkFinish(b *testing.B) {
	for _, names := range []Names{Guide, OTel} {
		for _, native := range []bool{false, true} {
			m, err := New(Config{Names: names, NativeHistograms: native})
			if err != nil {
				b.Fatal(err)
			}
			rec := &reqstate.Record{Method: "GET", Route: "/predict", Status: 200, Duration: 12 * time.Millisecond, BytesIn: 2000, Bytes: 300, Protocol: [2]uint8{1, 1}}
			b.Run(names.String()+map[bool]string{true: "/native"}[native], func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					m.series.requests.Finish(rec)
				}
			})
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	m, err := New(Config{})
	if err != nil {
		b.Fatal(err)
	}
	q := m.series.requests
	k := requestKey{route: "/predict", status: 200}
	q.lookup(k)
	b.Run("recent", func(b *testing.B) {
		for b.Loop() {
			q.lookup(k)
		}
	})
	b.Run("known", func(b *testing.B) {
		for b.Loop() {
			q.known.Get(k)
		}
	})
}
