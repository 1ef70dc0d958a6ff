package retry

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	window    = 128 // latencies that are remembered: the last quarter of a second at 500 calls/s
	enough    = 32  // before which nothing is said
	recompute = 16  // latencies until the quantile is found anew
)

// A quantile is one of the last 128 latencies. It is found anew after every 16,
// so that an observation costs a lock and next to nothing else.
type quantile struct {
	q     float64
	value atomic.Int64 // nanoseconds, at least 1; 0 before there are enough

	mu   sync.Mutex
	seen uint64
	ring [window]time.Duration
}

func (q *quantile) observe(d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ring[q.seen%window] = d
	q.seen++
	if q.seen >= enough && q.seen%recompute == 0 {
		q.value.Store(int64(max(q.find(), 1)))
	}
}

// find is the nearest-rank quantile.
func (q *quantile) find() time.Duration {
	sorted := q.ring
	n := int(min(q.seen, window))
	slices.Sort(sorted[:n])
	rank := int(math.Ceil(q.q * float64(n)))
	return sorted[min(max(rank, 1), n)-1]
}

// get returns the quantile, or 0 if too little has been seen.
func (q *quantile) get() time.Duration { return time.Duration(q.value.Load()) }
