package batchbench

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// sortedQuantile is the definition.
func sortedQuantile(samples []uint32, q float64) uint32 {
	sorted := slices.Sorted(slices.Values(samples))
	for i, v := range sorted {
		if float64(i+1) >= q*float64(len(sorted)) {
			return v
		}
	}
	return sorted[len(sorted)-1]
}

func TestQuantileAgainstSorting(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		samples := make([]uint32, 1+rng.IntN(300))
		spread := 1 + rng.Uint32N(400) // small ones give many equal samples
		for i := range samples {
			samples[i] = rng.Uint32N(spread)
		}
		for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 1} {
			want := sortedQuantile(samples, q)
			if got := quantile(slices.Clone(samples), q); got != want {
				t.Fatalf("quantile(%v, %v) = %d, want %d", samples, q, got, want)
			}
		}
	}
}

func TestQuantileOfNothing(t *testing.T) {
	if got := quantile([]uint32(nil), 0.5); got != 0 {
		t.Errorf("got %d", got)
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		samples []float64
		want    float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1}, 5},
		{[]float64{9, 1, 2}, 2},
		{[]float64{9, 1, 2, 4}, 3},
		{[]float64{6, 5, 4, 3, 2, 1}, 3.5},
	} {
		if got := median(slices.Clone(test.samples)); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("median(%v) = %v, want %v", test.samples, got, test.want)
		}
	}
}
