package promseries

import (
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

var testBuckets = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

func newOne(native bool, buckets ...float64) *Histogram {
	if len(buckets) == 0 {
		buckets = testBuckets
	}
	return NewHistogramVec(HistogramOpts{Name: "h", Help: "h", Buckets: buckets, Native: native}).With()
}

// reference is client_golang's histogram, whose zero bucket is as wide.
func reference(native bool, buckets ...float64) prometheus.Histogram {
	if len(buckets) == 0 {
		buckets = testBuckets
	}
	o := prometheus.HistogramOpts{Name: "h", Help: "h", Buckets: buckets}
	if native {
		o.NativeHistogramBucketFactor, o.NativeHistogramZeroThreshold = 1.1, zeroBelow
	}
	return prometheus.NewHistogram(o)
}

func write(t testing.TB, m prometheus.Metric) *dto.Histogram {
	t.Helper()
	var out dto.Metric
	if err := m.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.Histogram
}

// native returns the populated native buckets.
func native(h *dto.Histogram) map[int32]int64 {
	buckets := make(map[int32]int64)
	index, count, i := int32(0), int64(0), 0
	for _, span := range h.PositiveSpan {
		index += span.GetOffset()
		for range span.GetLength() {
			count += h.PositiveDelta[i]
			if count != 0 {
				buckets[index] = count
			}
			index++
			i++
		}
	}
	return buckets
}

func same(t testing.TB, got, want *dto.Histogram) {
	t.Helper()
	if got.GetSampleCount() != want.GetSampleCount() {
		t.Errorf("count %d, want %d", got.GetSampleCount(), want.GetSampleCount())
	}
	if g, w := got.GetSampleSum(), want.GetSampleSum(); math.Abs(g-w) > 1e-9*math.Abs(w) {
		t.Errorf("sum %v, want %v", g, w)
	}
	if len(got.Bucket) != len(want.Bucket) {
		t.Fatalf("%d buckets, want %d", len(got.Bucket), len(want.Bucket))
	}
	for i, w := range want.Bucket {
		if g := got.Bucket[i]; g.GetUpperBound() != w.GetUpperBound() || g.GetCumulativeCount() != w.GetCumulativeCount() {
			t.Errorf("bucket %v: %d, want %v: %d", g.GetUpperBound(), g.GetCumulativeCount(), w.GetUpperBound(), w.GetCumulativeCount())
		}
	}
	if (got.Schema == nil) != (want.Schema == nil) || got.GetSchema() != want.GetSchema() ||
		got.GetZeroCount() != want.GetZeroCount() || got.GetZeroThreshold() != want.GetZeroThreshold() {
		t.Errorf("schema %v, zero %d below %v; want %v, %d, %v", got.Schema, got.GetZeroCount(), got.GetZeroThreshold(),
			want.Schema, want.GetZeroCount(), want.GetZeroThreshold())
	}
	g, w := native(got), native(want)
	for k, n := range w {
		if g[k] != n {
			t.Errorf("native bucket %d: %d, want %d", k, g[k], n)
		}
	}
	if len(g) != len(w) {
		t.Errorf("%d native buckets, want %d", len(g), len(w))
	}
}

// values are what is hard for a histogram: bounds of either kind of bucket, and their
// neighbours.
func values(buckets []float64) []float64 {
	v := []float64{0, 1e-9, zeroBelow, math.Nextafter(zeroBelow, 1), 1 << 62, 1 << 63}
	for _, b := range buckets {
		v = append(v, b, math.Nextafter(b, 0), math.Nextafter(b, 1e18))
	}
	for key := 1; key < keys; key += 3 {
		if u := upperOf(key); u <= 1<<63 {
			v = append(v, u, math.Nextafter(u, 0), math.Nextafter(u, 0)/2)
		}
	}
	return v
}

func TestAsClientGolang(t *testing.T) {
	for _, buckets := range [][]float64{
		testBuckets,
		{1, 2, 4, 8, 1 << 20},            // which are native buckets' bounds, too
		{0.3, 0.31, 0.311, 0.3111, 0.32}, // several in one native bucket
		{1e-9},
		{1 << 62},
	} {
		for _, hasNative := range []bool{false, true} {
			random := rand.New(rand.NewPCG(1, 2))
			all := values(buckets)
			for range 2000 {
				all = append(all, math.Exp(random.Float64()*50-20))
			}
			got, want := newOne(hasNative, buckets...), reference(hasNative, buckets...)
			for range 5000 { // three decades, which need no merging
				v := math.Pow(10, random.Float64()*3-3)
				got.Observe(v)
				want.Observe(v)
			}
			same(t, write(t, got), write(t, want))
			for _, v := range all {
				one, other := newOne(hasNative, buckets...), reference(hasNative, buckets...)
				one.Observe(v)
				other.Observe(v)
				if same(t, write(t, one), write(t, other)); t.Failed() {
					t.Fatalf("of %v in %v, native %t", v, buckets, hasNative)
				}
			}
		}
	}
}

// What has more native buckets than a Prometheus should get has wider ones, with the
// same counts.
func TestMaxBuckets(t *testing.T) {
	h := newOne(true)
	all := 0
	for key := 1; key < keys; key++ {
		if u := upperOf(key); u <= 1<<63 {
			h.Observe(u)
			all++
		}
	}
	got := write(t, h)
	buckets := native(got)
	if got.GetSchema() != 0 || len(buckets) > maxBuckets || len(buckets) < maxBuckets/2 {
		t.Errorf("schema %d with %d buckets", got.GetSchema(), len(buckets))
	}
	sum := 0
	for k, n := range buckets {
		sum += int(n)
		if n != perOctave && k != 64 && k != -29 && k != 63 {
			t.Errorf("bucket %d has %d", k, n)
		}
	}
	if sum != all || got.GetSampleCount() != uint64(all) {
		t.Errorf("%d in buckets, %d counted, want %d", sum, got.GetSampleCount(), all)
	}
	// And so does client_golang with such buckets from the start.
	wide := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Help: "h", Buckets: testBuckets,
		NativeHistogramBucketFactor: 2, NativeHistogramZeroThreshold: zeroBelow})
	for key := 1; key < keys; key++ {
		if u := upperOf(key); u <= 1<<63 {
			wide.Observe(u)
		}
	}
	same(t, got, write(t, wide))
}

func TestNegativeAndHuge(t *testing.T) {
	for _, hasNative := range []bool{false, true} {
		h := newOne(hasNative)
		for _, v := range []float64{-1, math.Inf(-1), math.Inf(1), math.MaxFloat64} {
			h.Observe(v)
		}
		got := write(t, h)
		if got.GetSampleCount() != 4 || got.Bucket[0].GetCumulativeCount() != 2 {
			t.Errorf("native %t: %v", hasNative, got)
		}
		if hasNative && (got.GetZeroCount() != 2 || native(got)[512] != 2) {
			t.Errorf("zero bucket %d, native %v", got.GetZeroCount(), native(got))
		}
	}
}

// Whatever a scrape sees agrees with itself: Prometheus refuses a native histogram
// whose buckets are not as many as its count.
func TestConcurrentScrapes(t *testing.T) {
	h := newOne(true)
	const workers, each = 4, 20_000
	var wg, scraper sync.WaitGroup
	stop := make(chan struct{})
	scraper.Go(func() {
		before := uint64(0)
		for {
			got := write(t, h)
			n := int64(got.GetZeroCount())
			for _, c := range native(got) {
				n += c
			}
			if uint64(n) != got.GetSampleCount() || got.GetSampleCount() < before {
				t.Errorf("%d in native buckets, %d counted, %d before", n, got.GetSampleCount(), before)
			}
			before = got.GetSampleCount()
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for w := range workers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(3, uint64(w)))
			for range each {
				h.ObserveTraced(random.ExpFloat64(), time.Now(), Trace{})
			}
		})
	}
	wg.Wait()
	close(stop)
	scraper.Wait()
	if n := write(t, h).GetSampleCount(); n != workers*each {
		t.Errorf("%d counted, want %d", n, workers*each)
	}
}

func TestExemplars(t *testing.T) {
	h := newOne(false)
	start := time.Unix(1_700_000_000, 0)
	at := func(seconds float64) time.Time { return start.Add(time.Duration(seconds * 1e9)) }
	h.ObserveTraced(0.3, at(0), Trace{ID: [16]byte{1}, Span: [8]byte{2}})
	h.ObserveTraced(0.4, at(0.9), Trace{ID: [16]byte{3}}) // too early for another
	h.ObserveTraced(20, at(0.9), Trace{ID: [16]byte{4}})  // in a bucket of its own
	h.Observe(0.3)
	got := write(t, h)
	if len(got.Bucket) != len(testBuckets)+1 {
		t.Fatalf("%d buckets: the last one is there to carry its exemplar", len(got.Bucket))
	}
	for i, b := range got.Bucket {
		e := b.GetExemplar()
		switch i {
		case 6, len(testBuckets):
			labels, runes := make(map[string]string), 0
			for _, l := range e.GetLabel() {
				labels[l.GetName()] = l.GetValue()
				runes += len(l.GetName()) + len(l.GetValue())
			}
			if runes > 128 {
				t.Errorf("%d characters, more than OpenMetrics allows", runes)
			}
			if want := map[int]string{6: "01", 11: "04"}[i] + strings.Repeat("00", 15); labels["trace_id"] != want || len(labels["span_id"]) != 16 {
				t.Errorf("exemplar %d: %v", i, labels)
			}
		default:
			if e != nil {
				t.Errorf("exemplar %d: %v", i, e)
			}
		}
	}
	h.ObserveTraced(0.3, at(1), Trace{ID: [16]byte{5}})
	if e := write(t, h).Bucket[6].GetExemplar(); e.GetValue() != 0.3 || !e.GetTimestamp().AsTime().Equal(at(1)) {
		t.Errorf("not replaced after a second: %v", e)
	}
}

func TestWith(t *testing.T) {
	v := NewHistogramVec(HistogramOpts{Name: "h", Help: "h", Labels: []string{"a", "b"}, Buckets: testBuckets})
	one := v.With("x", "y")
	if v.With("x", "y") != one || v.With("xy", "") == one || v.With("", "xy") == v.With("xy", "") {
		t.Error("a histogram for each pair of values")
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { v.With("1", "2").Observe(1) })
	}
	wg.Wait()
	if n := write(t, v.With("1", "2")).GetSampleCount(); n != 8 {
		t.Errorf("%d, want 8", n)
	}
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(v)
	if families, err := r.Gather(); err != nil || len(families) != 1 || len(families[0].Metric) != 4 {
		t.Errorf("%v, %v", families, err)
	}
}

func TestWrongOptionsPanic(t *testing.T) {
	panics := func(name string, f func()) {
		t.Helper()
		defer func() {
			if recover() == nil {
				t.Errorf("%s: no panic", name)
			}
		}()
		f()
	}
	panics("none", func() { NewHistogramVec(HistogramOpts{Name: "h"}) })
	panics("unsorted", func() { newOne(false, 2, 1) })
	panics("twice", func() { newOne(false, 1, 1) })
	panics("not a number", func() { newOne(false, 1, math.NaN()) })
	panics("above all native buckets", func() { newOne(true, 1<<64) })
	panics("zero", func() { newOne(false, 0, 1) })
	panics("labels", func() { NewHistogramVec(HistogramOpts{Name: "h", Buckets: testBuckets}).With("x") })
}

func TestAllocations(t *testing.T) {
	for _, hasNative := range []bool{false, true} {
		h := newOne(hasNative)
		h.Observe(0.3)
		now := time.Now()
		h.ObserveTraced(0.3, now, Trace{})
		if n := testing.AllocsPerRun(100, func() {
			h.Observe(0.3)
			h.ObserveTraced(0.3, now, Trace{})
		}); n != 0 {
			t.Errorf("native %t: %v allocations, want 0", hasNative, n)
		}
	}
}

func TestTable(t *testing.T) {
	table := NewTable[string, int](2)
	built := 0
	add := func(k string, v int) (int, bool) {
		return table.Add(k, func(string) int { built++; return v })
	}
	add("a", 1)
	if v, ok := add("a", 9); v != 1 || !ok {
		t.Errorf("again: %d, %t", v, ok)
	}
	if table.Full() {
		t.Error("full with one of two")
	}
	add("b", 2)
	if _, ok := add("c", 3); ok || !table.Full() || built != 2 {
		t.Errorf("beyond the limit: %t; %d built", ok, built)
	}
	if v, ok := table.Get("b"); v != 2 || !ok {
		t.Errorf("b: %d, %t", v, ok)
	}
	if _, ok := table.Get("c"); ok {
		t.Error("c is there")
	}
}

func FuzzAsClientGolang(f *testing.F) {
	f.Add(0.3, 0.5, 2.0)
	f.Add(0.0, 1e-9, 1e9)
	f.Add(1.0905077326652577, 1.0, 1<<40+0.5)
	f.Fuzz(func(t *testing.T, a, b, c float64) {
		got, want := newOne(true, b0(a), b0(a)+1), reference(true, b0(a), b0(a)+1)
		for _, v := range []float64{a, b, c} {
			if !(v >= 0 && v < 1<<63) {
				continue
			}
			got.Observe(v)
			want.Observe(v)
		}
		same(t, write(t, got), write(t, want))
	})
}

// b0 makes a bound of anything.
func b0(v float64) float64 {
	if v > 2*zeroBelow && v < 1<<40 {
		return v
	}
	return 1
}

func BenchmarkObserve(b *testing.B) {
	for name, h := range map[string]interface{ Observe(float64) }{
		"classic":               newOne(false),
		"native":                newOne(true),
		"client_golang/classic": reference(false),
		"client_golang/native":  reference(true),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.Observe(0.02)
			}
		})
		b.Run(name+"/parallel", func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					h.Observe(0.02)
				}
			})
		})
	}
}
