package concurrency

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
)

// limits is where the rooms of the classes come from.
type limits struct {
	limitMu  sync.Mutex // guards all below and who sets rooms; taken before waiting.mu
	max      int        // Config.Max, or as SetMax said
	now      int        // the limit: max, or what Adaptive has found
	pressure float64

	controller controller  // with Adaptive: what now is made of
	refused    atomic.Bool // some call found no room; not guarded
}

// Shares of the limit, of the queue and of MaxBytes, in quarters, and the
// pressure above which they shrink. By rank.
var (
	shares = [classes]int{4, 4, 3, 2}
	onsets = [classes]float64{1, 0.75, 0.5, 0.25}
)

// portion is the rank's share of n, rounded up.
func portion(n, rank int) int { return (n*shares[rank] + 3) / 4 }

// room is how much of a limit the rank may use under pressure, 0 to 1.
func room(limit, rank int, pressure float64) int {
	n := portion(limit, rank)
	if pressure > onsets[rank] {
		n = int(math.Ceil(float64(n) * (1 - pressure) / (1 - onsets[rank])))
	}
	if rank <= Critical.rank() {
		n = max(n, 1) // so that there is a way back
	}
	return n
}

// setRooms makes l.limits effective. limitMu is held, or l is new.
func (l *Limiter) setRooms() {
	for rank := range classes {
		l.rooms[rank].Store(int64(room(l.limits.now, rank, l.pressure)))
		b := l.cfg.MaxBytes // in quarters without overflow
		l.byteRoom[rank].Store(b/4*int64(shares[rank]) + b%4)
	}
	if l.state.Load()&queuedBit != 0 {
		l.wake()
	}
}

// setLimit makes n the limit. limitMu is held.
func (l *Limiter) setLimit(n int) {
	if n != l.limits.now {
		l.limits.now = n
		l.setRooms()
	}
}

// SetMax changes Max. Permits that are out stay so: if there are more than the
// new limit, the next one is given when there are less. An adaptive limiter
// goes on below the new Max. An n that is not from 1, or from Adaptive.Min, to
// 1,048,575 is an error and changes nothing.
func (l *Limiter) SetMax(n int) error {
	low := 1
	if l.cfg.Adaptive != nil {
		low = l.cfg.Adaptive.Min
	}
	if n < low || n > maxMax {
		return fmt.Errorf("concurrency: SetMax: %d is not from %d to %d", n, low, maxMax)
	}
	l.limitMu.Lock()
	defer l.limitMu.Unlock()
	l.max = n
	if l.cfg.Adaptive != nil {
		l.controller.max = n
		n = min(n, l.limits.now)
		l.controller.limit = min(l.controller.limit, float64(n))
	}
	l.setLimit(n)
	return nil
}
