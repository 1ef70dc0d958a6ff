package breaker

import (
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"
)

const (
	defaultMax = 1024
	maxMax     = 1 << 16

	// overflowName is what the overflow's name has in place of a key.
	overflowName = "*"
)

// GroupConfig configures [NewGroup]. The zero value is useful.
type GroupConfig[K comparable] struct {
	// Breaker configures each breaker of the group. Its Name and a slash come
	// before the key, as fmt.Sprint has it, in the breakers' names. Its
	// OnStateChange must be nil: use the one here.
	Breaker Config

	// Max is how many breakers the group has at most, besides the overflow. One
	// takes about 7 KiB, and what its key takes. 0 means 1024; at most 65536.
	Max int

	// OnStateChange is told of each change of a breaker's state, as
	// Config.OnStateChange is; of different breakers', at the same time. It is not
	// told of the overflow's, which has no key.
	OnStateChange func(key K, from, to State)

	_ struct{}
}

// A Group has a breaker for each key: an endpoint, a replica, a model, so that the
// bad one is left alone and the others are not. Its methods may be called by
// several goroutines. It needs no closing.
//
// However many keys there are, the group does not grow beyond Max. Keys that come
// when it is full share one breaker, the overflow. To make room, a key must not
// have been asked for during a Window, and its breaker must be closed and without
// calls in its window; or not closed, its open time over, and not asked for during
// MaxOpenFor: that of an endpoint which is gone stays open, for nobody calls it.
// One that is forced stays. The group is looked through for such when a new key
// finds it full, but once in a Window at most, or once a second if that is longer.
// So a flood of keys costs little and takes nothing from those that are in use, and
// a key that comes in vain has to wait for the second look. What was learned of a
// key that had to go is forgotten with it.
//
// The overflow trips for the sake of any of its keys. So keys should be what is
// configured, and not what clients make up; their length is up to the caller.
type Group[K comparable] struct {
	cfg      GroupConfig[K]
	overflow *Breaker
	every    time.Duration // at least, between two looks
	rest     time.Duration // after which one goes that is not closed

	epoch    time.Time
	nextLook atomic.Int64 // in ns since epoch
	members  atomic.Pointer[table[K]]
	mu       sync.Mutex // for changing what members points to, or holds
}

// NewGroup returns a Group without breakers yet, or all that is wrong with cfg.
func NewGroup[K comparable](cfg GroupConfig[K]) (*Group[K], error) {
	setDefault(&cfg.Max, defaultMax)
	var errs []error
	if cfg.Max < 1 || cfg.Max > maxMax {
		errs = append(errs, fmt.Errorf("breaker: GroupConfig.Max is %d, must be from 1 to %d", cfg.Max, maxMax))
	}
	if cfg.Breaker.OnStateChange != nil {
		errs = append(errs, errors.New("breaker: GroupConfig.Breaker.OnStateChange must be nil: set GroupConfig.OnStateChange"))
	}
	full, err := cfg.Breaker.withDefaults()
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	g := &Group[K]{cfg: cfg, every: max(full.Window, time.Second), rest: full.MaxOpenFor, epoch: time.Now()}
	if g.overflow, err = New(g.named(overflowName)); err != nil {
		return nil, err
	}
	g.members.Store(newTable[K](cfg.Max))
	return g, nil
}

// named is the configuration of the breaker of a key.
func (g *Group[K]) named(key string) Config {
	cfg := g.cfg.Breaker
	if cfg.Name != "" {
		key = cfg.Name + "/" + key
	}
	cfg.Name = key
	return cfg
}

// Get returns the key's breaker, which it makes if need be, or the overflow. Ask
// for it anew for each call: one that is kept, and not asked for, may have made
// room for another. For a key that has a breaker it takes no lock.
func (g *Group[K]) Get(key K) *Breaker {
	if m := g.members.Load().find(key); m != nil {
		return m.use()
	}
	if g.isOver() {
		return g.overflow
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.members.Load()
	if m := t.find(key); m != nil {
		return m.use()
	}
	if t.isFull() {
		if t = g.look(t); t.isFull() {
			return g.overflow
		}
	}
	m := &member[K]{key: key, breaker: g.newBreaker(key)}
	t.insert(m)
	return m.use()
}

// isOver reports whether there is nothing to be had until the next look.
func (g *Group[K]) isOver() bool {
	return g.members.Load().isFull() && int64(time.Since(g.epoch)) < g.nextLook.Load()
}

// look returns a table without those that may go, or, if none may or it is too
// early to look again, old, which is full. g.mu is held.
func (g *Group[K]) look(old *table[K]) *table[K] {
	now := int64(time.Since(g.epoch))
	if now < g.nextLook.Load() {
		return old
	}
	g.nextLook.Store(now + int64(g.every))
	t := newTable[K](g.cfg.Max)
	for m := range old.all() {
		if !m.mayGo(now, int64(g.rest)) {
			t.insert(m)
		}
	}
	if t.isFull() {
		return old
	}
	g.members.Store(t)
	return t
}

func (g *Group[K]) newBreaker(key K) *Breaker {
	cfg := g.named(fmt.Sprint(key))
	if tell := g.cfg.OnStateChange; tell != nil {
		cfg.OnStateChange = func(from, to State) { tell(key, from, to) }
	}
	b, err := New(cfg)
	if err != nil {
		panic(err) // NewGroup has seen that it works
	}
	return b
}

// All is the keys that have a breaker now, and their breakers, in no order. The
// overflow is not among them.
func (g *Group[K]) All() iter.Seq2[K, *Breaker] {
	return func(yield func(K, *Breaker) bool) {
		for m := range g.members.Load().all() {
			if !yield(m.key, m.breaker) {
				return
			}
		}
	}
}

// Overflow returns the breaker of the keys that came when the group was full. In
// its name a "*" stands for the key.
func (g *Group[K]) Overflow() *Breaker { return g.overflow }
