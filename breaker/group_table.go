package breaker

import (
	"hash/maphash"
	"iter"
	"math/bits"
	"sync/atomic"
)

// A member is a key of a [Group], and its breaker.
type member[K comparable] struct {
	key     K
	breaker *Breaker
	used    atomic.Bool // since the group was last looked through
	usedAt  int64       // when a look last found that
}

// use returns the breaker. Nearly always it only reads, so that processors do not
// take the line from each other.
func (m *member[K]) use() *Breaker {
	if !m.used.Load() {
		m.used.Store(true)
	}
	return m.breaker
}

// mayGo reports whether the member may make room, now in ns of the group's. With the
// group's lock held, and once a look: it begins to watch for the next one.
func (m *member[K]) mayGo(now, rest int64) bool {
	if m.used.Swap(false) {
		m.usedAt = now
		return false
	}
	switch s := m.breaker.Stats(); {
	case s.State == ForcedOpen, s.State == ForcedClosed, s.WindowCalls > 0, s.RetryAfter > 0:
		return false
	default:
		return s.State == Closed || now-m.usedAt >= rest
	}
}

// A table finds members by their keys, without a lock and while one is inserted.
// Unlike a map that is copied for each new key, it takes a flood of them. Nothing
// is ever removed: a table without it is made instead. It is at most half full, and
// probed in a row.
type table[K comparable] struct {
	seed  maphash.Seed
	slots []atomic.Pointer[member[K]]
	most  int64
	n     atomic.Int64 // members
}

func newTable[K comparable](most int) *table[K] {
	return &table[K]{
		seed:  maphash.MakeSeed(),
		slots: make([]atomic.Pointer[member[K]], 1<<bits.Len(uint(2*most-1))),
		most:  int64(most),
	}
}

func (t *table[K]) isFull() bool { return t.n.Load() == t.most }

// find returns the key's member, or nil. A key that is not equal to itself, a NaN,
// has none.
func (t *table[K]) find(key K) *member[K] {
	mask := uint64(len(t.slots) - 1)
	for i := maphash.Comparable(t.seed, key); ; i++ {
		m := t.slots[i&mask].Load()
		if m == nil || m.key == key {
			return m
		}
	}
}

// insert adds a member that is not there. One goroutine at a time may do that.
func (t *table[K]) insert(m *member[K]) {
	mask := uint64(len(t.slots) - 1)
	i := maphash.Comparable(t.seed, m.key)
	for t.slots[i&mask].Load() != nil {
		i++
	}
	t.slots[i&mask].Store(m)
	t.n.Add(1)
}

func (t *table[K]) all() iter.Seq[*member[K]] {
	return func(yield func(*member[K]) bool) {
		for i := range t.slots {
			if m := t.slots[i].Load(); m != nil && !yield(m) {
				return
			}
		}
	}
}
