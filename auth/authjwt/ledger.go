package authjwt

import (
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"time"
)

// forever is the until of what never expires.
const forever = math.MaxInt64

// name is what an entry of a ledger is kept by: the SHA-256 of what may be long.
type name [sha256.Size]byte

// nameOf hashes parts, no other list of which has the same name.
func nameOf(parts ...string) name {
	b := make([]byte, 0, 192) // enough for what is usual, and not on the heap
	for _, part := range parts {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	return sha256.Sum256(b)
}

// ledger is a bounded map whose entries expire, and which drops no other ones. It
// needs a lock of its owner's.
type ledger[V any] struct {
	limit   int
	entries map[name]*dated[V]
	expiry  expiry // a heap with one element for each entry
}

// dated is a value with its time. The heap has until as it was when the entry
// was last sorted in: it may be later by now, never sooner.
type dated[V any] struct {
	value V
	until int64 // ns since 1970
}

func newLedger[V any](limit int) ledger[V] {
	return ledger[V]{limit: limit, entries: map[name]*dated[V]{}}
}

// of returns the entry of n, or nil.
func (l *ledger[V]) of(n name) *dated[V] { return l.entries[n] }

// put returns the entry of n, made if it is not there, which stays until until at
// least. It returns nil if the ledger is full of what has not expired by now.
func (l *ledger[V]) put(n name, until, now int64) *dated[V] {
	l.expire(now)
	if d := l.entries[n]; d != nil {
		d.until = max(d.until, until)
		return d
	}
	if len(l.entries) >= l.limit {
		return nil
	}
	d := &dated[V]{until: until}
	l.entries[n] = d
	heap.Push(&l.expiry, end{until, n})
	return d
}

// expire drops what has expired by now.
func (l *ledger[V]) expire(now int64) {
	for len(l.expiry) > 0 && l.expiry[0].until <= now {
		if d := l.entries[l.expiry[0].name]; d.until > now {
			l.expiry[0].until = d.until
			heap.Fix(&l.expiry, 0)
			continue
		}
		delete(l.entries, heap.Pop(&l.expiry).(end).name)
	}
}

// end is when an entry expires.
type end struct {
	until int64
	name  name
}

// expiry is a heap of ends, the soonest first.
type expiry []end

func (e expiry) Len() int           { return len(e) }
func (e expiry) Less(i, j int) bool { return e[i].until < e[j].until }
func (e expiry) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *expiry) Push(x any)        { *e = append(*e, x.(end)) }
func (e *expiry) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	*e = (*e)[:last]
	return x
}

// nanoseconds is t in ns since 1970, and not below 0. Zero and what is later than those can
// say is forever.
func nanoseconds(t time.Time) int64 {
	if !t.IsZero() && t.Unix() < 0 {
		return 0
	}
	if t.IsZero() || t.Unix() > forever/int64(time.Second)-1 {
		return forever
	}
	return t.UnixNano()
}
