package batchbench

import "math"

// quantile is the smallest sample that at least q of all samples do not
// exceed (the nearest rank), or 0 without any. It reorders samples, and takes
// linear time: a report has hundreds of millions of them, and sorting would
// take longer than measuring.
func quantile[T int64 | uint32 | float64](samples []T, q float64) T {
	if len(samples) == 0 {
		return 0
	}
	rank := int(math.Ceil(q*float64(len(samples)))) - 1
	rank = min(max(rank, 0), len(samples)-1)
	low, high := 0, len(samples)-1
	for low < high {
		left, right := partition(samples, low, high)
		switch {
		case rank <= left:
			high = left
		case rank >= right:
			low = right
		default:
			return samples[rank] // between the two: equal to the pivot
		}
	}
	return samples[low]
}

// partition is Hoare's: samples[low..left] <= pivot <= samples[right..high],
// and what lies between left and right equals it.
func partition[T int64 | uint32 | float64](samples []T, low, high int) (left, right int) {
	pivot := samples[low+(high-low)/2]
	i, j := low, high
	for i <= j {
		for samples[i] < pivot {
			i++
		}
		for samples[j] > pivot {
			j--
		}
		if i <= j {
			samples[i], samples[j] = samples[j], samples[i]
			i++
			j--
		}
	}
	return j, i
}

// median is the middle one, or the mean of the middle two. It reorders samples.
func median(samples []float64) float64 {
	if len(samples)%2 == 1 {
		return quantile(samples, 0.5)
	}
	return (quantile(samples, 0.5) + quantile(samples, 0.5+0.5/float64(len(samples)+1))) / 2
}
