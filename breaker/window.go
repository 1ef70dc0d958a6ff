package breaker

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// slots is how many parts a window has: it slides by one of them.
const slots = 64

// A window counts outcomes by the slot of time in which they were reported.
// Adding takes no lock: a word has the number of its slot in its upper half, so
// that who adds to it sees, in the same step, whether it was still the right one.
//
// One is for a generation of calls. When that is over it is cleared and left, and
// whoever still adds to it finds no slot there.
type window struct {
	scale  uint64       // 2^64 over a slot's width in ns
	streak atomic.Int64 // failures since the last success
	slots  [slots]struct{ of [kinds]atomic.Uint64 }
}

// What a window counts.
const (
	succeeded = iota
	failed
	ignored
	slow // also one of the first two
	kinds
)

// counts are sums of a window's slots.
type counts [kinds]uint64

func (c *counts) add(d counts) {
	for k := range c {
		c[k] += d[k]
	}
}

// calls are those that rates are of.
func (c *counts) calls() uint64 { return c[succeeded] + c[failed] }

func (c *counts) rate(kind int) float64 {
	if c.calls() == 0 {
		return 0
	}
	return float64(c[kind]) / float64(c.calls())
}

func newWindow(width time.Duration) *window {
	return &window{scale: ^uint64(0)/uint64(width/slots) + 1}
}

// number returns the slot's number at the time now. Times of 146 years in either
// direction have one; where slots begin is off by less than a slot, always the
// same way.
func (w *window) number(now int64) uint32 {
	n, _ := bits.Mul64(uint64(now)+1<<62, w.scale)
	return uint32(n)
}

// add counts one of a kind in the slot number, if that is there.
func (w *window) add(number uint32, kind int) bool {
	word := &w.slots[number%slots].of[kind]
	// If the slot was taken for another number in between, the count is in that
	// later one, or, if it was cleared, in what the next to come will overwrite.
	return uint32(word.Load()>>32) == number && !isBefore(uint32(word.Add(1)>>32), number)
}

// success counts a success at the time now, if its slot is there.
func (w *window) success(now int64) bool { return w.add(w.number(now), succeeded) }

// count counts an outcome in the slot number, if that is there.
func (w *window) count(number uint32, o Outcome, isSlow bool) bool {
	kind := ignored
	switch o {
	case Success:
		kind = succeeded
	case Failure:
		kind = failed
	}
	if !w.add(number, kind) {
		return false
	}
	if isSlow && kind != ignored {
		w.add(number, slow) // its slot is there as well, or gone in this moment
	}
	return true
}

// note counts the failures since the last success.
func (w *window) note(o Outcome) {
	switch o {
	case Success:
		w.streak.Store(0)
	case Failure:
		w.streak.Add(1)
	}
}

// isOver reports whether the window that ends at number, or the streak, is one to
// open for.
func (w *window) isOver(cfg *Config, number uint32) bool {
	if cfg.ConsecutiveFailures > 0 && w.streak.Load() >= int64(cfg.ConsecutiveFailures) {
		return true
	}
	sum := w.sum(number)
	return sum.calls() >= uint64(cfg.MinCalls) &&
		(sum.rate(failed) >= cfg.FailureRate || cfg.SlowAfter > 0 && sum.rate(slow) >= cfg.SlowRate)
}

// isBefore compares slots' numbers, which wrap around after years.
func isBefore(a, b uint32) bool { return int32(a-b) < 0 }

// open makes a slot for the number, and returns what it counted before, if that
// was never taken. With a lock held.
func (w *window) open(number uint32) (was counts) {
	s := &w.slots[number%slots]
	for kind := range s.of {
		old := s.of[kind].Load()
		if uint32(old>>32) == number {
			continue
		}
		for !s.of[kind].CompareAndSwap(old, uint64(number)<<32) {
			old = s.of[kind].Load()
		}
		was[kind] = live(old)
	}
	return was
}

// A cleared word's number is as far away as can be, and its upper bit says so.
const (
	clearedBit = 1 << 31
	countMask  = clearedBit - 1
)

// live is the count of a word.
func live(word uint64) uint64 {
	if word&clearedBit != 0 {
		return 0
	}
	return word & countMask
}

// clear empties the window, and returns all that it held. With a lock held.
func (w *window) clear() (was counts) {
	for i := range w.slots {
		for kind := range kinds {
			word := &w.slots[i].of[kind]
			old := word.Load()
			if old&clearedBit != 0 {
				continue // a second time would bring its number back
			}
			was[kind] += live(word.Swap(uint64(uint32(old>>32)^clearedBit)<<32 | clearedBit))
		}
	}
	return was
}

// sum adds up the slots of the window that ends at number.
func (w *window) sum(number uint32) (sum counts) {
	for i := range w.slots {
		for kind := range kinds {
			word := w.slots[i].of[kind].Load()
			if number-uint32(word>>32) < slots {
				sum[kind] += live(word)
			}
		}
	}
	return sum
}

// total adds up all slots, whatever they are of.
func (w *window) total() (sum counts) {
	for i := range w.slots {
		for kind := range kinds {
			sum[kind] += live(w.slots[i].of[kind].Load())
		}
	}
	return sum
}
