package metrics

import (
	"maps"
	"sync"
	"sync/atomic"
)

// A table is a map that is read without a lock and has at most limit entries,
// none of which is ever removed. Each new entry copies the map: there are few,
// and all of them early. A sync.Map would allocate for each look-up, to make
// an interface of the key.
type table[K comparable, V any] struct {
	limit   int
	mu      sync.Mutex // held to write entries
	entries atomic.Pointer[map[K]V]
}

func newTable[K comparable, V any](limit int) *table[K, V] {
	t := &table[K, V]{limit: limit}
	t.entries.Store(new(map[K]V))
	return t
}

func (t *table[K, V]) get(k K) (V, bool) {
	v, ok := (*t.entries.Load())[k]
	return v, ok
}

// full spares whoever sees it the lock: room never comes back.
func (t *table[K, V]) full() bool { return len(*t.entries.Load()) >= t.limit }

// add returns k's entry, made with build if there is none; false if there is
// no room.
func (t *table[K, V]) add(k K, build func(K) V) (V, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if v, ok := t.get(k); ok || t.full() {
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
