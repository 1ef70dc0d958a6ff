package authjwt

import (
	"crypto/sha256"
	"hash/maphash"
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/ballast-go/ballast/auth"
)

const (
	// ways is how many places a token may be kept in: one cache line of pointers.
	ways = 8
	// slotOverhead is, about, what the cache keeps for an entry besides its size:
	// the slot and the entry with the allocator's rounding, and its share of the
	// table, which has two to four places for each entry.
	slotOverhead = 256
	// chances is how many entries in use an eviction passes over before it takes
	// one all the same, so that no put holds the lock for long.
	chances = 64
)

// entry is a token that was found good.
type entry struct {
	p        *auth.Principal
	trust    *trust        // whose token it is
	keys     *KeySet       // by which it was verified: what trust.Keys held before
	revision atomic.Uint64 // of Revocations before it was last asked
	since    int64         // ns since 1970: when it was verified
	until    int64         // ns since 1970: after this it must be verified again
	size     int           // bytes of the token and, about, of what p holds
	place    slot          // of the first put: one allocation is spared
}

// cache keeps entries by their tokens: no more than maxEntries of them, and no
// more than maxBytes. Whoever has many good tokens can make it forget, never
// grow.
//
// It is a table of buckets of eight ways with second-chance eviction. Reading takes no
// lock and writes nothing but a slot's used mark, once between two passes of
// the hand, so readers do not take cache lines from each other. Writing, which
// follows the verification of a signature, takes a lock for a few dozen ns.
//
// Tokens are hashed under a random seed of the cache's own, so nobody can choose
// tokens that meet in one bucket, and are then compared in full. Of a token its end is
// hashed, which has most or all of the signature: to hash 763 bytes takes 55 ns, more
// than all else of a hit. How long the comparison takes tells nothing to those who do not
// know a good token's signature: it is reached only if all 64 bits of the hash agree.
//
// A nil cache keeps nothing.
type cache struct {
	seed       maphash.Seed
	hashed     bool
	maxEntries int
	maxBytes   int64

	mask  uint64
	tags  []atomic.Uint64              // one a bucket: a byte for each way, 0 if it is free
	slots [][ways]atomic.Pointer[slot] // buckets

	mu      sync.Mutex // guards what follows, and all writes to tags and slots
	entries int
	bytes   int64
	hand    uint64 // the place, bucket*ways + way, that eviction looks at next
}

// slot is a place that is taken. But for used it never changes.
type slot struct {
	hash uint64
	key  string // the token, or its SHA-256
	e    *entry
	used atomic.Bool // since the hand came by
}

func (s *slot) cost() int64 { return int64(s.e.size) + slotOverhead }

// newCache returns a cache, which is nil if entries or bytes leave no room for one.
func newCache(entries int, bytes int64, hashed bool) *cache {
	// More than the bytes can hold would only make the table large.
	entries = int(min(int64(entries), bytes/slotOverhead))
	if entries <= 0 {
		return nil
	}
	// Half full at most, a bucket rarely is: 2 % of them by Poisson's law.
	buckets := uint64(1) << bits.Len64(uint64(entries-1)*2/ways)
	return &cache{
		seed: maphash.MakeSeed(), hashed: hashed, maxEntries: entries, maxBytes: bytes,
		mask: buckets - 1, tags: make([]atomic.Uint64, buckets), slots: make([][ways]atomic.Pointer[slot], buckets),
	}
}

// get returns the token's entry or nil. The caller checks its fields.
func (c *cache) get(token string) *entry {
	if c == nil {
		return nil
	}
	if c.hashed {
		sum := sumOf(token)
		return c.lookUp(maphash.Bytes(c.seed, sum[:]), unsafe.String(&sum[0], len(sum)))
	}
	return c.lookUp(c.hash(token), token)
}

// hashedEnd is how many bytes of a token are hashed.
const hashedEnd = 128

// hash returns the hash of a token's end.
func (c *cache) hash(token string) uint64 {
	return maphash.String(c.seed, token[max(0, len(token)-hashedEnd):])
}

// sumOf returns the token's SHA-256. A conversion would copy the token into memory.
func sumOf(token string) [sha256.Size]byte {
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(token), len(token)))
}

func (c *cache) lookUp(hash uint64, key string) *entry {
	b := hash & c.mask
	// A tag and its slot are not read at one moment. The slot alone decides; a tag that is
	// ahead or behind makes a token that comes or goes missing, which it is then anyway.
	for m := match(c.tags[b].Load(), tagOf(hash)); m != 0; m &= m - 1 {
		s := c.slots[b][bits.TrailingZeros64(m)/8].Load()
		if s != nil && s.hash == hash && s.key == key {
			if !s.used.Load() {
				s.used.Store(true)
			}
			return s.e
		}
	}
	return nil
}

// put adds a token or takes the place of its entry. An entry that is larger than
// the whole cache is not kept.
func (c *cache) put(token string, e *entry) {
	if c == nil {
		return
	}
	s := &e.place
	if s.e != nil { // it is in use, and never changes
		s = new(slot)
	}
	s.e = e
	if c.hashed {
		sum := sumOf(token)
		s.hash, s.key = maphash.Bytes(c.seed, sum[:]), string(sum[:])
	} else {
		// The token is a part of a header, and would keep all of it alive.
		s.hash, s.key = c.hash(token), strings.Clone(token)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	b := s.hash & c.mask
	way, old := c.find(b, s)
	if s.cost() > c.maxBytes {
		if old != nil {
			c.remove(b, way)
		}
		return
	}
	if old != nil {
		s.used.Store(old.used.Load())
		c.bytes += s.cost() - old.cost()
		c.slots[b][way].Store(s)
	} else {
		c.insert(b, s)
	}
	for c.entries > c.maxEntries || c.bytes > c.maxBytes {
		c.evict(s)
	}
}

// find returns where s's token is kept.
func (c *cache) find(b uint64, s *slot) (way int, old *slot) {
	for m := match(c.tags[b].Load(), tagOf(s.hash)); m != 0; m &= m - 1 {
		way = bits.TrailingZeros64(m) / 8
		old = c.slots[b][way].Load()
		if old != nil && old.hash == s.hash && old.key == s.key {
			return way, old
		}
	}
	return 0, nil
}

// insert puts s, which is not there yet, into a free way of its bucket, or into
// that of the one that is the least loss.
func (c *cache) insert(b uint64, s *slot) {
	way := -1
	if free := match(c.tags[b].Load(), 0); free != 0 {
		way = bits.TrailingZeros64(free) / 8
	} else {
		way = c.victim(b, s)
		c.remove(b, way)
	}
	c.slots[b][way].Store(s)
	c.tags[b].Store(c.tags[b].Load() | tagOf(s.hash)<<(8*way))
	c.entries++
	c.bytes += s.cost()
}

// victim chooses a way of a full bucket: of an entry that s shows to be dead, or
// else of one that was not used of late, or else any.
func (c *cache) victim(b uint64, s *slot) int {
	start := int(s.hash >> 48) // as random as the seed
	unused := -1
	for i := range ways {
		way := (start + i) % ways
		old := c.slots[b][way].Load()
		if dead(old.e, s.e) {
			return way
		}
		if unused < 0 && !old.used.Load() {
			unused = way
		}
	}
	if unused >= 0 {
		return unused
	}
	for i := range ways {
		c.slots[b][i].Load().used.Store(false)
	}
	return start % ways
}

// evict removes one entry other than keep, of which there must be one: the
// next that is dead or was not used since the hand came by.
func (c *cache) evict(keep *slot) {
	for passed := 0; ; {
		b, way := c.hand/ways&c.mask, int(c.hand%ways)
		if c.tags[b].Load() == 0 {
			c.hand = (c.hand/ways + 1) * ways
			continue
		}
		c.hand++
		old := c.slots[b][way].Load()
		if old == nil || old == keep {
			continue
		}
		if !old.used.Load() || passed >= chances || dead(old.e, keep.e) {
			c.remove(b, way)
			return
		}
		old.used.Store(false)
		passed++
	}
}

// remove frees a way that is taken.
func (c *cache) remove(b uint64, way int) {
	old := c.slots[b][way].Load()
	c.tags[b].Store(c.tags[b].Load() &^ (0xff << (8 * way)))
	c.slots[b][way].Store(nil)
	c.entries--
	c.bytes -= old.cost()
}

// dead reports whether old is of no use any more, as far as a newer entry tells:
// its time is past, or its keys have been replaced.
func dead(old, newer *entry) bool {
	return old.until <= newer.since || old.trust == newer.trust && old.keys != newer.keys
}

// tagOf is 8 bits of the hash that do not choose the bucket, and never 0.
func tagOf(hash uint64) uint64 { return hash>>56 | 0x80 }

// match returns a word with a bit set in each byte of tags that equals tag. As the
// borrow of a byte runs into the next ones, more bits may be set above a true one:
// whoever looks for a token compares it anyway, and the lowest is always true.
func match(tags, tag uint64) uint64 {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	x := tags ^ tag*ones
	return (x - ones) &^ x & highs
}
