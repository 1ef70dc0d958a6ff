package ratelimit_test

import (
	"math"
	"testing"

	"github.com/ballast-go/ballast/ratelimit"
)

func TestWeightsCost(t *testing.T) {
	list := ratelimit.Weights{Input: 1, CachedInput: 0.1, Output: 4}
	for _, tt := range []struct {
		weights               ratelimit.Weights
		input, cached, output int
		want                  int
	}{
		{list, 1000, 2000, 300, 2400},
		{list, 0, 1, 0, 1}, // rounded up
		{list, 0, 10, 0, 1},
		{list, 0, 11, 0, 2},
		{list, 0, 0, 0, 0},
		{ratelimit.Weights{Input: 1.1}, 50, 0, 0, 55}, // and not one more
		{ratelimit.Weights{Input: 1}, 1 << 49, 0, 0, 1 << 49},
		{list, 7, -5, -5, 7},
		{list, math.MinInt, 0, math.MinInt, 0},
		{ratelimit.Weights{}, 1, 1, 1, 0},
		{ratelimit.Weights{Output: 1}, 100, 100, 5, 5},
		{ratelimit.Weights{Input: -1, CachedInput: math.NaN(), Output: 0.5}, 9, 9, 9, 5},
		{ratelimit.Weights{Input: math.Inf(1)}, 0, 9, 9, 0},
		{ratelimit.Weights{Input: math.Inf(1)}, 1, 0, 0, math.MaxInt},
		{list, math.MaxInt, math.MaxInt, math.MaxInt, math.MaxInt},
	} {
		if got := tt.weights.Cost(tt.input, tt.cached, tt.output); got != tt.want {
			t.Errorf("%+v.Cost(%d, %d, %d) is %d, want %d", tt.weights, tt.input, tt.cached, tt.output, got, tt.want)
		}
	}
}
