package retry

import (
	"math"
	"slices"
	"testing"
	"time"
)

// naiveQuantile is the least value that at least q of the last 128 are not above.
func naiveQuantile(all []time.Duration, q float64) time.Duration {
	last := slices.Clone(all[max(0, len(all)-window):])
	slices.Sort(last)
	for i, d := range last {
		if float64(i+1) >= q*float64(len(last)) {
			return d
		}
	}
	return last[len(last)-1]
}

func FuzzQuantile(f *testing.F) {
	f.Add(0.95, []byte("\x00\x10\x20 any latencies at all, of more than thirty-two calls\xff\xff"))
	f.Add(0.5, slices.Repeat([]byte{1, 2, 3}, 100))
	f.Fuzz(func(t *testing.T, q float64, latencies []byte) {
		if !(q > 0 && q < 1) || len(latencies) > 2000 {
			return
		}
		of := quantile{q: q}
		var all []time.Duration
		var want time.Duration
		for i, b := range latencies {
			d := time.Duration(b) << (b % 40)
			of.observe(d)
			all = append(all, d)
			if n := i + 1; n >= enough && n%recompute == 0 {
				want = max(naiveQuantile(all, q), 1)
			}
			if got := of.get(); got != want {
				t.Fatalf("after %d: %v: want %v", i+1, got, want)
			}
		}
	})
}

func TestQuantileForgets(t *testing.T) {
	of := quantile{q: 0.95}
	for range window {
		of.observe(math.MaxInt64)
	}
	for range window {
		of.observe(-1)
	}
	if got := of.get(); got != 1 {
		t.Errorf("%v: want the least there is, as all that is remembered is less", got)
	}
}
