package authjwt

import (
	"crypto/rand"
	"fmt"
	mrand "math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/ballast-go/ballast/auth"
)

// recount counts what the cache holds by walking it, and fails the test if the
// counters or the tags disagree with the slots.
func (c *cache) recount(t *testing.T) (entries int, bytes int64) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for b := range c.slots {
		for way := range ways {
			tag := c.tags[b].Load() >> (8 * way) & 0xff
			s := c.slots[b][way].Load()
			if (s == nil) != (tag == 0) || s != nil && tag != tagOf(s.hash) {
				t.Fatalf("bucket %d, way %d: tag %x, slot %v", b, way, tag, s)
			}
			if s != nil {
				entries++
				bytes += s.cost()
			}
		}
	}
	if entries != c.entries || bytes != c.bytes {
		t.Fatalf("%d entries, %d B; counted %d, %d B", entries, bytes, c.entries, c.bytes)
	}
	if entries > c.maxEntries || bytes > c.maxBytes {
		t.Fatalf("%d entries, %d B; at most %d, %d B", entries, bytes, c.maxEntries, c.maxBytes)
	}
	return entries, bytes
}

func modes(t *testing.T, test func(t *testing.T, hashed bool)) {
	for _, hashed := range []bool{false, true} {
		t.Run(fmt.Sprintf("hashed=%t", hashed), func(t *testing.T) { test(t, hashed) })
	}
}

func TestCacheGetsWhatWasPut(t *testing.T) {
	modes(t, func(t *testing.T, hashed bool) {
		c := newCache(100, 1<<20, hashed)
		if c.get("") != nil || c.get("a.b.c") != nil {
			t.Fatal("an empty cache holds something")
		}
		first, second := &entry{size: 1}, &entry{size: 2}
		c.put("a.b.c", first)
		if c.get("a.b.c") != first || c.get("a.b.d") != nil || c.get("a.b.") != nil || c.get("a.b.cc") != nil {
			t.Fatal("not what was put")
		}
		c.put("a.b.c", second)
		if c.get("a.b.c") != second {
			t.Fatal("not replaced")
		}
		if n, _ := c.recount(t); n != 1 {
			t.Fatalf("%d entries of one token", n)
		}
	})
}

func TestCacheOfNoRoomKeepsNothing(t *testing.T) {
	for _, c := range []*cache{newCache(0, 1<<20, false), newCache(-1, 1<<20, false), newCache(100, 0, true), newCache(100, slotOverhead-1, false)} {
		if c != nil {
			t.Fatalf("a cache of %d entries and %d B", c.maxEntries, c.maxBytes)
		}
		c.put("a.b.c", &entry{})
		if c.get("a.b.c") != nil {
			t.Fatal("found")
		}
	}
}

// The table is as large as the bytes can fill, whatever number of entries is asked for.
func TestCacheTableIsBoundedByBytes(t *testing.T) {
	c := newCache(1<<50, 1<<20, false)
	if got := len(c.slots) * ways; got > 4*(1<<20)/slotOverhead {
		t.Fatalf("%d places for 1 MiB", got)
	}
}

// The seed differs, or who knows one process's hashes could fill a bucket of all others.
func TestCachesHashDifferently(t *testing.T) {
	a, b := newCache(1, 1<<20, false), newCache(1, 1<<20, false)
	if a.seed == b.seed {
		t.Fatal("two caches with one seed")
	}
}

// A cache never returns another token's entry and, while nothing had to go, always
// the last one put.
func TestCacheAgainstMap(t *testing.T) {
	modes(t, func(t *testing.T, hashed bool) {
		for seed := range uint64(20) {
			r := mrand.New(mrand.NewPCG(seed, 1))
			c := newCache(1+r.IntN(300), int64(1000+r.IntN(300_000)), hashed)
			reference := map[string]*entry{}
			missing := 0
			for range 5000 {
				token := fmt.Sprintf("h.%d.s", r.IntN(400))
				if r.IntN(3) == 0 {
					e := &entry{size: r.IntN(2000), since: int64(r.IntN(100)), until: int64(r.IntN(200))}
					c.put(token, e)
					reference[token] = e
					if got := c.get(token); got != e && !(got == nil && int64(e.size)+slotOverhead > c.maxBytes) {
						t.Fatalf("seed %d: %s just put, got %v", seed, token, got)
					}
					continue
				}
				switch got := c.get(token); got {
				case reference[token]:
				case nil:
					missing++
				default:
					t.Fatalf("seed %d: another entry for %s", seed, token)
				}
			}
			if n, _ := c.recount(t); n == 0 {
				t.Fatal("empty after all")
			}
		}
	})
}

// With room for all and buckets that do not overflow, nothing is forgotten.
func TestCacheForgetsNothingWithoutNeed(t *testing.T) {
	c := newCache(16384, 64<<20, false)
	for i := range 1000 { // in 4096 buckets: nine in one has a chance of 3e-8
		c.put(fmt.Sprintf("h.%d.s", i), &entry{size: i, until: 1})
	}
	for i := range 1000 {
		if e := c.get(fmt.Sprintf("h.%d.s", i)); e == nil || e.size != i {
			t.Fatalf("%d is gone", i)
		}
	}
}

// Filled to the brim it holds nearly as many as it may: buckets that overflow cost little.
func TestCacheFills(t *testing.T) {
	c := newCache(16384, 64<<20, false)
	for i := range 16384 {
		c.put(fmt.Sprintf("h.%d.s", i), &entry{size: 1000, until: 1})
	}
	if n, _ := c.recount(t); n < 16384*95/100 {
		t.Fatalf("%d of 16384", n)
	}
}

func TestCacheRefusesWhatIsLargerThanItself(t *testing.T) {
	c := newCache(10, 10_000, false)
	c.put("a", &entry{size: 100})
	c.put("b", &entry{size: 10_000})
	if c.get("a") == nil || c.get("b") != nil {
		t.Fatal("the large one was kept, or cost the small one its place")
	}
	c.put("a", &entry{size: 10_000})
	if c.get("a") != nil {
		t.Fatal("the entry that was replaced is still there")
	}
	c.recount(t)
}

// What grows in its place counts, too.
func TestCacheReplacementKeepsWithinBytes(t *testing.T) {
	c := newCache(10, 10_000, false)
	for i := range 8 {
		c.put(fmt.Sprint(i), &entry{size: 500, until: 1})
	}
	e := &entry{size: 9_000}
	c.put("3", e)
	if c.get("3") != e {
		t.Fatal("gone itself")
	}
	c.recount(t)
}

// Tokens that come once do not drive out those that come again and again.
func TestCacheResistsScans(t *testing.T) {
	c := newCache(1024, 64<<20, false)
	for i := range 100 {
		c.put(fmt.Sprint("hot", i), &entry{size: 1, until: 1})
	}
	kept := 0
	for scan := range 20_000 {
		c.put(fmt.Sprint("scan", scan), &entry{size: 1, until: 1})
		if scan%100 == 0 {
			for i := range 100 {
				c.get(fmt.Sprint("hot", i))
			}
		}
	}
	for i := range 100 {
		if c.get(fmt.Sprint("hot", i)) != nil {
			kept++
		}
	}
	if kept < 95 {
		t.Fatalf("%d of 100 survived", kept)
	}
	c.recount(t)
}

// Of a full cache goes what is of no use any more, even if it was used a moment ago.
func TestCacheEvictsTheDeadFirst(t *testing.T) {
	keys, newKeys, whose := new(KeySet), &KeySet{keys: []*verifyKey{{}}}, new(trust)
	live := func() *entry { return &entry{trust: whose, keys: keys, since: 50, until: 1000, size: 1} }
	for name, spoil := range map[string]func(*entry){
		"expired": func(e *entry) { e.until = 60 },
		"keys":    func(e *entry) { e.keys = newKeys },
	} {
		for _, full := range []int{ways, 4} { // the bucket, or the count
			c := newCache(full, 1<<20, false)
			c.mask = 0 // one bucket
			for i := range full {
				e := live()
				if i == full-1 {
					spoil(e)
				}
				c.put(fmt.Sprint(i), e)
			}
			for i := range full - 1 { // but for the dead one, which get does not know for dead
				c.get(fmt.Sprint(i))
			}
			c.get(fmt.Sprint(full - 1))
			e := live()
			e.since = 60
			c.put("new", e)
			for i := range full - 1 {
				if c.get(fmt.Sprint(i)) == nil {
					t.Errorf("%s, %d: %d went in the place of the dead one", name, full, i)
				}
			}
			if c.get("new") == nil || c.get(fmt.Sprint(full-1)) != nil {
				t.Errorf("%s, %d: the dead one stayed", name, full)
			}
		}
	}
}

// A million good tokens cannot make it grow, by its own count and by the heap's.
func TestCacheUnderAMillionTokens(t *testing.T) {
	modes(t, func(t *testing.T, hashed bool) {
		const entries, bytes = 16384, 8 << 20
		head := strings.Repeat("x", 700)
		before := heapBytes()
		c := newCache(entries, bytes, hashed)
		n := 1_000_000
		if raceEnabled {
			n = 100_000
		}
		for i := range n {
			c.put(fmt.Sprint(head, i), &entry{p: &auth.Principal{}, size: 763 + 150, until: 1})
			if i%100_000 == 0 {
				c.recount(t)
			}
		}
		held := heapBytes() - before
		if _, counted := c.recount(t); counted < bytes*9/10 {
			t.Errorf("counted %d B of %d", counted, bytes)
		}
		if held > bytes+1<<20 {
			t.Errorf("%d B on the heap for %d", held, bytes)
		}
		runtime.KeepAlive(c)
	})
}

func heapBytes() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// only returns the one slot that is taken.
func (c *cache) only(t *testing.T) *atomic.Pointer[slot] {
	t.Helper()
	for b := range c.slots {
		for way := range ways {
			if p := &c.slots[b][way]; p.Load() != nil {
				return p
			}
		}
	}
	t.Fatal("the cache is empty")
	return nil
}

// The string that is kept is the token alone, not the header that it was cut from.
func TestCacheKeepsNoHeader(t *testing.T) {
	header := strings.Clone("Bearer head.payload.signature")
	token := header[len("Bearer "):]
	c := newCache(8, 1<<20, false)
	c.put(token, &entry{})
	if unsafe.StringData(c.only(t).Load().key) == unsafe.StringData(token) {
		t.Fatal("the header's memory is kept")
	}
}

// Should two tokens have the same hash, they are two all the same.
func TestCacheComparesInFull(t *testing.T) {
	modes(t, func(t *testing.T, hashed bool) {
		c := newCache(8, 1<<20, hashed)
		e := &entry{}
		c.put("a.b.c", e)
		s := c.only(t)
		s.Store(&slot{hash: s.Load().hash, key: "another", e: e})
		if c.get("a.b.c") != nil {
			t.Error("another's entry")
		}
		c.put("a.b.c", e)
		if n, _ := c.recount(t); n != 2 || c.get("a.b.c") != e {
			t.Errorf("%d entries", n)
		}
	})
}

// Tokens that differ where they are not hashed are two all the same: whoever
// changes the claims of a good one and leaves its signature gets nothing.
func TestCacheComparesWhatItDoesNotHash(t *testing.T) {
	modes(t, func(t *testing.T, hashed bool) {
		c := newCache(8, 1<<20, hashed)
		end := strings.Repeat("s", hashedEnd)
		first, second := &entry{size: 1}, &entry{size: 2}
		c.put("a.b."+end, first)
		if c.get("a.c."+end) != nil || c.get(end) != nil {
			t.Error("another's entry")
		}
		c.put("a.c."+end, second)
		if c.get("a.b."+end) != first || c.get("a.c."+end) != second {
			t.Error("one has taken the other's place")
		}
	})
}

// Hashed, the cache holds the token nowhere, neither as a whole nor in part.
func TestHashedCacheHoldsNoToken(t *testing.T) {
	token := "header." + rand.Text() + rand.Text() + "." + rand.Text()
	for _, hashed := range []bool{false, true} {
		c := newCache(8, 1<<20, hashed)
		c.put(token, &entry{p: &auth.Principal{Subject: "somebody", Claims: map[string]any{"sub": "somebody"}}, size: len(token)})
		if c.get(token) == nil {
			t.Fatal("not kept")
		}
		found := false
		walk(reflect.ValueOf(c), map[unsafe.Pointer]bool{}, func(s string) {
			if len(s) >= 10 && (strings.Contains(s, token[7:17]) || strings.Contains(token, s)) {
				found = true
			}
		})
		if found == hashed {
			t.Fatalf("hashed %t, token found %t", hashed, found)
		}
	}
}

// walk calls see with all strings and byte sequences that v leads to.
func walk(v reflect.Value, seen map[unsafe.Pointer]bool, see func(string)) {
	switch v.Kind() {
	case reflect.String:
		see(v.String())
	case reflect.Pointer:
		if !v.IsNil() && !seen[v.UnsafePointer()] {
			seen[v.UnsafePointer()] = true
			walk(v.Elem(), seen, see)
		}
	case reflect.Interface:
		walk(v.Elem(), seen, see)
	case reflect.UnsafePointer: // that of an atomic.Pointer[slot]
		if p := v.UnsafePointer(); p != nil && !seen[p] {
			walk(reflect.ValueOf((*slot)(p)), seen, see)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			walk(v.Field(i), seen, see)
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			b := make([]byte, v.Len())
			for i := range b {
				b[i] = byte(v.Index(i).Uint())
			}
			see(string(b))
			return
		}
		for i := range v.Len() {
			walk(v.Index(i), seen, see)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			walk(it.Key(), seen, see)
			walk(it.Value(), seen, see)
		}
	}
}

// Under contention a token's entry is always one of its own, and the bounds hold.
func TestCacheConcurrently(t *testing.T) {
	modes(t, func(t *testing.T, hashed bool) {
		c := newCache(64, 100_000, hashed)
		tokens := make([]string, 200)
		owners := make([]*auth.Principal, len(tokens))
		for i := range tokens {
			tokens[i] = fmt.Sprintf("h.%d.s", i)
			owners[i] = &auth.Principal{}
		}
		var hits atomic.Int64
		var wg sync.WaitGroup
		for g := range uint64(8) {
			wg.Go(func() {
				r := mrand.New(mrand.NewPCG(g, 2))
				for range 5000 {
					i := r.IntN(len(tokens))
					if e := c.get(tokens[i]); e != nil {
						hits.Add(1)
						if e.p != owners[i] {
							t.Errorf("another's entry for %d", i)
							return
						}
						continue
					}
					c.put(tokens[i], &entry{p: owners[i], size: r.IntN(3000)})
				}
			})
		}
		wg.Wait()
		c.recount(t)
		if hits.Load() == 0 {
			t.Error("no hits")
		}
	})
}

func TestMatchAgainstLoop(t *testing.T) {
	r := mrand.New(mrand.NewPCG(1, 3))
	for range 100_000 {
		var tags uint64
		tag := tagOf(r.Uint64())
		for way := range ways {
			switch r.IntN(4) {
			case 0:
				tags |= tag << (8 * way)
			case 1:
				tags |= (tag ^ 1 | 0x80) << (8 * way) // what a borrow makes a false match of
			case 2:
				tags |= tagOf(r.Uint64()) << (8 * way)
			}
		}
		for _, want := range []uint64{tag, 0} {
			got, lowest := match(tags, want), true
			for way := range ways {
				is := tags>>(8*way)&0xff == want
				bit := got>>(8*way+7)&1 == 1
				if is && !bit || bit && !is && lowest {
					t.Fatalf("match(%x, %x) = %x", tags, want, got)
				}
				lowest = lowest && !is
			}
		}
	}
}

func TestCacheAllocs(t *testing.T) {
	if raceEnabled {
		return
	}
	token := strings.Repeat("x", 763)
	for _, hashed := range []bool{false, true} {
		c := newCache(16384, 64<<20, hashed)
		e := &entry{size: len(token)}
		c.put(token, e)
		if n := leastAllocs(func() { c.get(token); c.get("none") }); n != 0 {
			t.Errorf("hashed %t: get allocates %v times", hashed, n)
		}
		if n := leastAllocs(func() { c.put(token, e) }); n > 2 { // the slot and its key
			t.Errorf("hashed %t: put allocates %v times", hashed, n)
		}
	}
}

func BenchmarkCache(b *testing.B) {
	token := strings.Repeat("x", 763)
	for _, hashed := range []bool{false, true} {
		c := newCache(16384, 64<<20, hashed)
		e := &entry{size: len(token)}
		c.put(token, e)
		b.Run(fmt.Sprintf("get/hashed=%t", hashed), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.get(token)
			}
		})
		b.Run(fmt.Sprintf("put/hashed=%t", hashed), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.put(token, e)
			}
		})
	}
}
