package ratelimit

import "math"

// Weights says what tokens of each kind cost, in the unit of a limit: models
// ask several times as much for a token of output as for one of input, and a
// part of it for input that they have in a cache. With {1, 0.1, 4} a limit
// counts tokens of input.
type Weights struct{ Input, CachedInput, Output float64 }

// Cost is what so many tokens cost together, rounded up. CachedInput is apart
// from input: where a usage report has it as a part of its prompt tokens, take
// it off those. Counts, and weights, below 0 count as 0, and more than an int
// holds as the largest.
func (w Weights) Cost(input, cachedInput, output int) int {
	sum := weigh(w.Input, input) + weigh(w.CachedInput, cachedInput) + weigh(w.Output, output)
	if sum >= math.MaxInt {
		return math.MaxInt
	}
	// 1.1 times 50 is a little more than 55 in binary: each step may add half
	// of 2⁻⁵² of its result, and there are five.
	return int(math.Ceil(sum * (1 - 0x1p-50)))
}

// weigh is never less than 0, nor NaN.
func weigh(weight float64, tokens int) float64 {
	if !(weight > 0) || tokens <= 0 {
		return 0
	}
	return weight * float64(tokens)
}
