package promseries

import (
	"maps"
	"sync"
	"sync/atomic"
)

// A Table is a map that is read without a lock and has at most limit entries,
// none of which is ever removed. Each new entry copies the map: there are few,
// and all of them early. A sync.Map would allocate for each look-up, to make
// an interface of the key.
type Table[K comparable, V any] struct {
	limit   int
	mu      sync.Mutex // held to write entries
	entries atomic.Pointer[map[K]V]
}

func NewTable[K comparable, V any](limit int) *Table[K, V] {
	t := &Table[K, V]{limit: limit}
	t.entries.Store(new(map[K]V))
	return t
}

func (t *Table[K, V]) Get(k K) (V, bool) {
	v, ok := (*t.entries.Load())[k]
	return v, ok
}

// Full spares whoever sees it the lock: room never comes back.
func (t *Table[K, V]) Full() bool { return len(*t.entries.Load()) >= t.limit }

// Add returns k's entry, made with build if there is none; false if there is
// no room.
func (t *Table[K, V]) Add(k K, build func(K) V) (V, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if v, ok := t.Get(k); ok || t.Full() {
		return v, ok
	}
	old := *t.entries.Load()
	grown := make(map[K]V, len(old)+1)
	maps.Copy(grown, old)
	v := build(k)
	grown[k] = v
	t.entries.Store(&grown)
	return v, true
}
