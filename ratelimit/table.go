package ratelimit

import (
	"hash/maphash"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// A table maps hashes of keys to TATs. All its memory is allocated at the start
// and has no pointers: 16 bytes a cell, four cells to a cache line, lines in
// pairs. A key's cell is in one of two pairs (Azar et al., "Balanced
// Allocations": the better of two choices), so that at the load it is made for
// one in ten thousand keys finds both full of live ones.
//
// A cell whose TAT has passed says nothing any more: it is free, and is reused
// in place. One whose TAT has not is never given away. What has no cell of its
// own, because there was none or because its cell was reused, is accounted in
// the shared cell of its first pair. A new cell begins at the shared one's TAT,
// so a key never gains by losing its cell, not even if time goes backwards.
//
// Two keys with the same 64-bit hash share a cell. The hash is seeded, so nobody
// can look for such.
type table struct {
	stripes *[256]stripe
	seed    maphash.Seed
	lines   []line
	shared  []sharedTAT // one a pair
}

type line [4]cell

type cell struct {
	hash atomic.Uint64 // 0: never used
	tat  atomic.Int64  // claimed: hash is about to change
}

// claimed stands for the TAT of a cell that changes hands. No key has it.
const claimed = math.MinInt64

// A stripe is for the keys whose hashes end alike. It fills a cache line.
type stripe struct {
	mu       sync.Mutex // held to give one of its keys a cell
	allowed  atomic.Uint64
	denied   atomic.Uint64
	overflow atomic.Uint64
	reused   atomic.Uint64
	_        [24]byte
}

// sharedTAT is the TAT of all that has no cell. It counts from minTime, so that
// zeroed memory needs no touch.
type sharedTAT struct{ v atomic.Int64 }

func (s *sharedTAT) load() int64 { return s.v.Load() + minTime }

func (s *sharedTAT) compareAndSwap(old, tat int64) bool {
	return s.v.CompareAndSwap(old-minTime, tat-minTime)
}

// absorb makes it at least as far ahead as a cell that is given up.
func (s *sharedTAT) absorb(tat int64) {
	for {
		old := s.load()
		if old >= tat || s.compareAndSwap(old, tat) {
			return
		}
	}
}

// load is how much of the cells keys may fill.
const load = 0.75

func (t *table) init(keys int) {
	pairs := int(float64(keys)/load)/(2*len(line{})) + 1
	t.stripes = new([256]stripe)
	t.seed = maphash.MakeSeed()
	t.lines = make([]line, 2*pairs)
	t.shared = make([]sharedTAT, pairs)
}

// hash is never 0, which marks a cell that was never used.
func (t *table) hash(key string) uint64 { return max(1, maphash.String(t.seed, key)) }

func (t *table) stripe(hash uint64) *stripe {
	return &t.stripes[uint8(hash)]
}

// sharedOf is the shared cell that accounts for hash when it has none.
func (t *table) sharedOf(hash uint64) *sharedTAT {
	first, _ := t.places(hash)
	return &t.shared[first/2]
}

// places returns the lines where the key of hash may be: one of each of its two
// pairs. The other one has the index with the last bit flipped.
func (t *table) places(hash uint64) (first, second uint64) {
	n := uint64(len(t.lines))
	first, _ = bits.Mul64(hash, n)
	second, _ = bits.Mul64(bits.RotateLeft64(hash, 32)*0x9e3779b97f4a7c15, n)
	return first, second
}

// find returns the cell that is hash's, or nil. It passes by one that is being
// taken away from hash, which may already have another further on.
func (t *table) find(hash uint64) *cell {
	first, second := t.places(hash)
	for _, i := range [...]uint64{first, first ^ 1, second, second ^ 1} {
		for j := range t.lines[i] {
			if c := &t.lines[i][j]; c.hash.Load() == hash && c.tat.Load() != claimed {
				return c
			}
		}
	}
	return nil
}

// home is the line where most hashes are.
func (t *table) home(hash uint64) *line {
	first, _ := bits.Mul64(hash, uint64(len(t.lines)))
	return &t.lines[first]
}

// findElsewhere is find, but quicker, and it may return a cell that is being
// taken away. The caller has looked at the first cell of home.
func (t *table) findElsewhere(hash uint64) *cell {
	first, second := t.places(hash)
	if c := t.lines[first].find(hash); c != nil {
		return c
	}
	if c := t.lines[first^1].find(hash); c != nil {
		return c
	}
	if c := t.lines[second].find(hash); c != nil {
		return c
	}
	return t.lines[second^1].find(hash)
}

// find looks at all four without a branch for each: where keys are many, which
// of them it is cannot be predicted. That saves 8 ns of 32.
func (l *line) find(hash uint64) *cell {
	i := 4
	if l[3].hash.Load() == hash {
		i = 3
	}
	if l[2].hash.Load() == hash {
		i = 2
	}
	if l[1].hash.Load() == hash {
		i = 1
	}
	if l[0].hash.Load() == hash {
		i = 0
	}
	if i == 4 {
		return nil
	}
	return &l[i]
}

// enter takes n for a hash that has no cell and gives it one, or charges the
// shared cell if there is no room. It reports false if there is one by now.
func (t *table) enter(q *quota, hash uint64, now int64, n int) (used int64, wait time.Duration, ok bool) {
	s := t.stripe(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.find(hash) != nil {
		return 0, 0, false
	}
	common := t.sharedOf(hash)
	for {
		shared := common.load()
		used, wait = q.take(shared, now, n)
		switch {
		case n == 0:
		case wait != 0:
			s.denied.Add(1)
			if shared > now {
				s.overflow.Add(1)
			}
			return used, wait, true
		case t.place(hash, now, now+used):
		case common.compareAndSwap(shared, now+used):
			s.overflow.Add(1)
		default:
			continue
		}
		s.allowed.Add(1)
		return used, wait, true
	}
}

// enterCharged is enter for n that nobody was asked about.
func (t *table) enterCharged(q *quota, hash uint64, now int64, n uint64) bool {
	s := t.stripe(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.find(hash) != nil {
		return false
	}
	common := t.sharedOf(hash)
	for {
		shared := common.load()
		next := q.charge(shared, now, n)
		if t.place(hash, now, next) {
			return true
		}
		if common.compareAndSwap(shared, next) {
			s.overflow.Add(1)
			return true
		}
	}
}

// place gives hash a cell with the TAT next, and reports whether there was room.
// The stripe of hash is locked, and hash has none yet.
func (t *table) place(hash uint64, now, next int64) bool {
	for {
		c := t.vacant(hash, now)
		if c == nil {
			return false
		}
		// In this order: if the swap below finds tat, it was before's.
		tat := c.tat.Load()
		before := c.hash.Load()
		if !free(before, tat, now) {
			continue // somebody was faster
		}
		if before != 0 {
			// Before anybody can see that the cell is gone.
			t.sharedOf(before).absorb(tat)
		}
		if !c.tat.CompareAndSwap(tat, claimed) {
			continue
		}
		if before != 0 {
			t.stripe(hash).reused.Add(1)
		}
		c.hash.Store(hash)
		c.tat.Store(next)
		return true
	}
}

// vacant returns a free cell for hash: in the first pair, where find looks
// first, unless that is more than half full and the second one is emptier.
func (t *table) vacant(hash uint64, now int64) *cell {
	first, second := t.places(hash)
	a, inFirst := t.room(first, now)
	if inFirst >= len(line{}) {
		return a
	}
	b, inSecond := t.room(second, now)
	if inSecond > inFirst {
		return b
	}
	return a
}

// room returns a free cell of line i, or else of the other of its pair, and how
// many free ones the pair has.
func (t *table) room(i uint64, now int64) (found *cell, n int) {
	for _, l := range [...]*line{&t.lines[i], &t.lines[i^1]} {
		for j := range l {
			if free(l[j].hash.Load(), l[j].tat.Load(), now) {
				n++
				if found == nil {
					found = &l[j]
				}
			}
		}
	}
	return found, n
}

func free(hash uint64, tat, now int64) bool {
	return tat != claimed && (hash == 0 || tat <= now)
}

// raise adds d to the TAT of a cell, unless that is about to be nobody's.
func (c *cell) raise(d int64) {
	for {
		tat := c.tat.Load()
		if tat == claimed || c.tat.CompareAndSwap(tat, min(tat, maxTAT-d)+d) {
			return
		}
	}
}

func (s *stripe) count(ok bool) {
	if ok {
		s.allowed.Add(1)
	} else {
		s.denied.Add(1)
	}
}
