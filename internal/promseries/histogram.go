package promseries

import (
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// HistogramOpts say what the histograms of a family are.
type HistogramOpts struct {
	Name, Help string
	Labels     []string
	Buckets    []float64 // upper bounds, ascending, above 2^-30 and below 2^64; at least one
	Native     bool      // have native buckets, too: schema 3, at most 160 of them

	_ struct{}
}

// A HistogramVec is a family of histograms with values for its labels. It is a
// prometheus.Collector.
type HistogramVec struct {
	desc    *prometheus.Desc
	labels  []string
	buckets []float64
	cells   []cell // nil for classic buckets alone

	mu      sync.RWMutex
	byValue map[string]*Histogram
}

// A cell is the part of a native bucket that is in one classic bucket, too.
type cell struct{ key, bucket uint16 }

// NewHistogramVec panics if o is wrong.
func NewHistogramVec(o HistogramOpts) *HistogramVec {
	below := float64(zeroBelow)
	for _, b := range o.Buckets {
		if !(b > below && b < 1<<maxExp) {
			panic(fmt.Sprintf("promseries: the buckets of %s: %v", o.Name, o.Buckets))
		}
		below = b
	}
	if len(o.Buckets) == 0 {
		panic("promseries: no buckets of " + o.Name)
	}
	v := &HistogramVec{
		desc:    prometheus.NewDesc(o.Name, o.Help, o.Labels, nil),
		labels:  o.Labels,
		buckets: o.Buckets,
		byValue: make(map[string]*Histogram),
	}
	if o.Native {
		v.cells = newCells(o.Buckets)
	}
	return v
}

// newCells divides the native buckets by the classic ones' bounds. Native bucket and
// classic bucket both never fall as the value rises, and no two cells have the same of
// both, so that their sum is a cell's number.
func newCells(buckets []float64) []cell {
	cells := make([]cell, keys+len(buckets))
	bucket := 0
	for key := range keys {
		for ; ; bucket++ {
			cells[key+bucket] = cell{uint16(key), uint16(bucket)}
			// Does the classic bucket go on above the native one?
			if bucket == len(buckets) || buckets[bucket] > upperOf(key) {
				break
			}
			if buckets[bucket] == upperOf(key) {
				bucket++ // both end here
				break
			}
		}
	}
	return cells
}

// With returns the histogram for the labels' values, which must be valid UTF-8.
func (v *HistogramVec) With(values ...string) *Histogram {
	if len(values) != len(v.labels) {
		panic(fmt.Sprintf("promseries: %d values for %v", len(values), v.labels))
	}
	key := strings.Join(values, "\xff") // which no valid UTF-8 has
	v.mu.RLock()
	h := v.byValue[key]
	v.mu.RUnlock()
	if h != nil {
		return h
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if h := v.byValue[key]; h != nil {
		return h
	}
	h = newHistogram(v, values)
	v.byValue[key] = h
	return h
}

// Describe implements prometheus.Collector.
func (v *HistogramVec) Describe(ch chan<- *prometheus.Desc) { ch <- v.desc }

// Collect implements prometheus.Collector.
func (v *HistogramVec) Collect(ch chan<- prometheus.Metric) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, h := range v.byValue {
		ch <- h
	}
}

// A Histogram counts values by size. It is a prometheus.Metric.
//
// An observation is one cell's atomic increment, from which the count and both kinds
// of buckets are made, so that they always agree, and an addition to the sum. A scrape
// may see the one without the other.
type Histogram struct {
	vec     *HistogramVec
	labels  []*dto.LabelPair
	created *timestamppb.Timestamp

	sum    atomic.Uint64           // the bits of a float64
	counts []atomic.Uint64         // by classic bucket; unless there are native ones
	blocks []atomic.Pointer[block] // else: by cell, made as they are needed

	exemplars []atomic.Pointer[exemplar] // by classic bucket
}

const blockSize = 8

type block [blockSize]atomic.Uint64

func newHistogram(v *HistogramVec, values []string) *Histogram {
	h := &Histogram{
		vec:       v,
		labels:    prometheus.MakeLabelPairs(v.desc, values),
		created:   timestamppb.New(time.Now()),
		exemplars: make([]atomic.Pointer[exemplar], len(v.buckets)+1),
	}
	if v.cells == nil {
		h.counts = make([]atomic.Uint64, len(v.buckets)+1)
	} else {
		h.blocks = make([]atomic.Pointer[block], (len(v.cells)+blockSize-1)/blockSize)
	}
	return h
}

// Observe counts a value, of which a negative one is 0. NaN is not for it.
func (h *Histogram) Observe(value float64) { h.observe(max(0, value)) }

// A Trace is the span that a value is of.
type Trace struct {
	ID   [16]byte
	Span [8]byte
}

// exemplarEvery is how old a bucket's exemplar is before it is replaced: a scrape sees
// one of them at most.
const exemplarEvery = time.Second

type exemplar struct {
	value float64
	at    time.Time
	trace Trace
}

// ObserveTraced counts a value of a recorded span and keeps it, with the span's ids, as
// the exemplar of its bucket, unless that has one from the second before at. It allocates
// for a new one.
func (h *Histogram) ObserveTraced(value float64, at time.Time, trace Trace) {
	value = max(0, value)
	slot := &h.exemplars[h.observe(value)]
	if old := slot.Load(); old == nil || at.Sub(old.at) >= exemplarEvery {
		slot.Store(&exemplar{value, at, trace})
	}
}

func (h *Histogram) observe(value float64) (bucket int) {
	for bucket < len(h.vec.buckets) && value > h.vec.buckets[bucket] {
		bucket++
	}
	if h.counts != nil {
		h.counts[bucket].Add(1)
	} else {
		n := keyOf(value) + bucket
		h.block(n / blockSize)[n%blockSize].Add(1)
	}
	for {
		old := h.sum.Load()
		if h.sum.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+value)) {
			return bucket
		}
	}
}

func (h *Histogram) block(i int) *block {
	if b := h.blocks[i].Load(); b != nil {
		return b
	}
	if b := new(block); h.blocks[i].CompareAndSwap(nil, b) {
		return b
	}
	return h.blocks[i].Load()
}

// Desc implements prometheus.Metric.
func (h *Histogram) Desc() *prometheus.Desc { return h.vec.desc }

// Write implements prometheus.Metric.
func (h *Histogram) Write(out *dto.Metric) error {
	out.Label = h.labels
	his := &dto.Histogram{CreatedTimestamp: h.created}
	out.Histogram = his
	counts := make([]uint64, len(h.vec.buckets)+1)
	if h.counts != nil {
		for i := range h.counts {
			counts[i] = h.counts[i].Load()
		}
	} else {
		native := new([keys]uint64)
		for i := range h.blocks {
			if b := h.blocks[i].Load(); b != nil {
				for j := range b {
					n := b[j].Load()
					if n == 0 {
						continue // the last block has more places than there are cells
					}
					c := h.vec.cells[i*blockSize+j]
					counts[c.bucket] += n
					native[c.key] += n
				}
			}
		}
		writeNative(his, native)
	}
	h.writeClassic(his, counts)
	his.SampleSum = proto.Float64(math.Float64frombits(h.sum.Load()))
	return nil
}

func (h *Histogram) writeClassic(his *dto.Histogram, counts []uint64) {
	var total uint64
	for i, n := range counts {
		total += n
		e := h.exemplars[i].Load()
		upper := math.Inf(1)
		if i < len(h.vec.buckets) {
			upper = h.vec.buckets[i]
		} else if e == nil {
			break // the last bucket is only written to carry an exemplar
		}
		b := &dto.Bucket{CumulativeCount: proto.Uint64(total), UpperBound: proto.Float64(upper)}
		if e != nil {
			b.Exemplar = e.dto()
		}
		his.Bucket = append(his.Bucket, b)
	}
	his.SampleCount = proto.Uint64(total)
}

// dto is within the 128 characters that OpenMetrics allows for an exemplar's labels.
func (e *exemplar) dto() *dto.Exemplar {
	return &dto.Exemplar{
		Label: []*dto.LabelPair{
			{Name: proto.String("span_id"), Value: proto.String(hex.EncodeToString(e.trace.Span[:]))},
			{Name: proto.String("trace_id"), Value: proto.String(hex.EncodeToString(e.trace.ID[:]))},
		},
		Value:     proto.Float64(e.value),
		Timestamp: timestamppb.New(e.at),
	}
}
