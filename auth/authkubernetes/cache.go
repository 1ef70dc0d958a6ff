package authkubernetes

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"
)

// sum is what something is remembered by: a SHA-256, so that no token stays in
// memory and nobody finds two that have the same.
type sum = [sha256.Size]byte

// cache remembers up to max things, each until a time of its own. All of them
// are remembered for about as long, so that the oldest is the one to drop.
type cache[V any] struct {
	max int

	mu      sync.RWMutex
	entries map[sum]*list.Element // of order
	order   list.List             // of *cached[V], the oldest first
}

type cached[V any] struct {
	key   sum
	value V
	until time.Time
}

func newCache[V any](entries int) *cache[V] {
	return &cache[V]{max: entries, entries: make(map[sum]*list.Element)}
}

// get returns what is remembered by key, if it is still good at a time.
func (c *cache[V]) get(key sum, at time.Time) (v V, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	el := c.entries[key]
	if el == nil {
		return v, false
	}
	e := el.Value.(*cached[V])
	if !at.Before(e.until) {
		return v, false
	}
	return e.value, true
}

// put remembers v from a time until another, in the place of what was remembered
// by key. What is over goes, the oldest first.
func (c *cache[V]) put(key sum, v V, at, until time.Time) {
	if !at.Before(until) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if el := c.entries[key]; el != nil {
		c.drop(el)
	}
	c.entries[key] = c.order.PushBack(&cached[V]{key, v, until})
	for el := c.order.Front(); len(c.entries) > c.max || !at.Before(el.Value.(*cached[V]).until); el = c.order.Front() {
		c.drop(el)
	}
}

// drop forgets el. Under c.mu.
func (c *cache[V]) drop(el *list.Element) {
	delete(c.entries, c.order.Remove(el).(*cached[V]).key)
}

func (c *cache[V]) len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.entries)
}
