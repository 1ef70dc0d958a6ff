package promseries

import (
	"math"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
)

const (
	// schema 3 has 8 buckets for each power of two, each 9 % wider than the one
	// before: the widest below a growth factor of 1.1.
	schema     = 3
	perOctave  = 1 << schema
	minExp     = -30 // buckets begin above 2^minExp; 1 ns is 2^-29.9 s
	maxExp     = 64  // and end at 2^maxExp, above any int64
	zeroBelow  = 1.0 / (1 << -minExp)
	keys       = (maxExp-minExp)*perOctave + 1 // and the zero bucket, key 0
	keyOffset  = -minExp * perOctave           // from Prometheus' index of a bucket to its key
	mantissa   = 52
	mantissas  = 1<<mantissa - 1
	maxBuckets = 160
)

// bounds are the upper bounds of the eight buckets from 0.5 on, 2^(i/8-1), to the digits
// that other Prometheus clients have, as mantissas: comparing bits spares math.Frexp.
var bounds = [perOctave]uint64{
	mantissaOf(0.5), mantissaOf(0.5452538663326288), mantissaOf(0.5946035575013605), mantissaOf(0.6484197773255048),
	mantissaOf(0.7071067811865475), mantissaOf(0.7711054127039704), mantissaOf(0.8408964152537144), mantissaOf(0.9170040432046711),
}

func mantissaOf(v float64) uint64 { return math.Float64bits(v) & mantissas }

// keyOf returns v's native bucket: 0 for the zero bucket, which takes all that is not above 2^minExp.
func keyOf(v float64) int {
	if !(v > zeroBelow) {
		return 0
	}
	bits := math.Float64bits(v)
	m := bits & mantissas
	i := 0
	for i < perOctave && m > bounds[i] {
		i++
	}
	exp := int(bits>>mantissa) - 1023
	return min(exp*perOctave+i+keyOffset, keys-1)
}

// upperOf returns the upper bound of a native bucket, inclusive.
func upperOf(key int) float64 {
	if key == 0 {
		return zeroBelow
	}
	index := key - keyOffset
	frac := math.Float64frombits(1023<<mantissa | bounds[index&(perOctave-1)])
	return math.Ldexp(frac, index>>schema)
}

// writeNative adds the native buckets with the given counts by key. While there are more
// than maxBuckets, each two are made one, which is exact.
func writeNative(h *dto.Histogram, counts *[keys]uint64) {
	var index []int
	var count []uint64
	for k := 1; k < keys; k++ {
		if n := counts[k]; n > 0 {
			index, count = append(index, k-keyOffset), append(count, n)
		}
	}
	resolution := int32(schema)
	for len(index) > maxBuckets {
		resolution--
		n := 0
		for i := range index {
			wider := (index[i] + 1) >> 1
			if n > 0 && index[n-1] == wider {
				count[n-1] += count[i]
				continue
			}
			index[n], count[n] = wider, count[i]
			n++
		}
		index, count = index[:n], count[:n]
	}
	h.Schema = proto.Int32(resolution)
	h.ZeroThreshold = proto.Float64(zeroBelow)
	h.ZeroCount = proto.Uint64(counts[0])
	next, before := 0, int64(0)
	for i, k := range index {
		if i == 0 || k != next {
			h.PositiveSpan = append(h.PositiveSpan, &dto.BucketSpan{Offset: proto.Int32(int32(k - next)), Length: proto.Uint32(0)})
		}
		*h.PositiveSpan[len(h.PositiveSpan)-1].Length++
		h.PositiveDelta = append(h.PositiveDelta, int64(count[i])-before)
		next, before = k+1, int64(count[i])
	}
}
