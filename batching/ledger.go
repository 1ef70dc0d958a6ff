package batching

import (
	"math"
	"math/bits"
	"slices"
	"time"
)

// ledger holds the counters that the batcher's mutex guards.
type ledger struct {
	cancelledQueued, displaced, expired, aborted uint64
	cancelledRunning, answered, failed, timedOut uint64
	batches, items, padding, panics, timeouts    uint64
	hookPanics                                   uint64

	seals     [sealReasons]uint64
	batchSize sizes
	queueWait durations
	runTime   []durations // by bucket of batchSize
	used      usage
}

func (l *ledger) init(maxBatchSize int) {
	l.batchSize.init(maxBatchSize)
	l.runTime = make([]durations, len(l.batchSize.counts))
}

// left returns how many accepted items have left the queue.
func (l *ledger) left() uint64 {
	return l.cancelledQueued + l.displaced + l.expired + l.aborted + l.items
}

// fold adds the outcomes of a batch so far; so many of those that failed did
// so because the run took too long.
func (l *ledger) fold(outcomes, late uint64) {
	answered, failed, gone := split(outcomes)
	l.answered += answered
	l.failed += failed - late
	l.timedOut += late
	l.cancelledRunning += gone
}

// settling is a batch each of whose items has its outcome, although one that
// was decided on another goroutine in this moment may not be in the tally yet.
type settling[Out any] struct {
	*tally[Out]
	late uint64
}

// settle counts a batch in the ledger as soon as its tally is complete. b.mu
// is held.
func (b *Batcher[In, Out]) settle(t *tally[Out], late uint64) {
	b.settling = append(b.settling, settling[Out]{t, late})
	b.settling = slices.DeleteFunc(b.settling, func(s settling[Out]) bool {
		done := s.complete()
		if done {
			b.ledger.fold(s.outcomes.Load(), s.late)
		}
		return done
	})
}

// sizes is a histogram of batch sizes by powers of two, and the largest.
type sizes struct {
	counts []uint64
	sum    uint64
	most   int
}

func (h *sizes) init(most int) {
	h.most = most
	h.counts = make([]uint64, bits.Len(uint(most-1))+1)
}

// bucket returns where batches of n items, 1 or more, belong.
func (h *sizes) bucket(n int) int { return bits.Len(uint(n - 1)) }

// bound returns the largest size of a bucket.
func (h *sizes) bound(bucket int) int { return min(1<<bucket, h.most) }

func (h *sizes) observe(n int) {
	h.counts[h.bucket(n)]++
	h.sum += uint64(n)
}

func (h *sizes) snapshot() Histogram {
	s := Histogram{Counts: append(append([]uint64{}, h.counts...), 0), Sum: float64(h.sum)}
	for i := range h.counts {
		s.Bounds = append(s.Bounds, float64(h.bound(i)))
	}
	return s
}

// Buckets of durations: up to 2^minShift nanoseconds, about 16 µs, up to twice
// as long, and so on; the last holds what is longer than about 34 s.
const (
	minShift    = 14
	timeBuckets = 23
)

// durations is a histogram of nanoseconds by powers of two.
type durations struct {
	counts [timeBuckets]uint64
	sum    int64
}

func (h *durations) observe(ns int64) {
	ns = max(0, ns)
	i := max(0, bits.Len64(uint64(max(0, ns-1)))-minShift)
	h.counts[min(i, timeBuckets-1)]++
	h.sum += ns
}

func (h *durations) snapshot() Histogram {
	s := Histogram{Counts: append([]uint64{}, h.counts[:]...), Sum: time.Duration(h.sum).Seconds()}
	for i := range timeBuckets - 1 {
		s.Bounds = append(s.Bounds, time.Duration(1<<(minShift+i)).Seconds())
	}
	return s
}

// usage is an exponentially weighted sum over time of how much the instances
// did.
type usage struct {
	sum float64
	at  int64 // when sum was right
}

// usageMemory is the time after which something counts 1/e of what it did, in
// nanoseconds.
const usageMemory = float64(10 * time.Second)

// weigh returns the integral of 1 over a time that ended just now.
func weigh(took int64) float64 { return usageMemory * -math.Expm1(-float64(took)/usageMemory) }

// add says that gain was had from since to now.
func (u *usage) add(gain float64, since, now int64) {
	u.sum = u.value(now) + gain*weigh(now-since)
	u.at = now
}

func (u *usage) value(now int64) float64 {
	return u.sum * math.Exp(-float64(now-u.at)/usageMemory)
}
