package ratelimit

import (
	"math/rand/v2"
	"reflect"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What a limiter keeps about keys: no pointer that the garbage collector would
// have to follow, and no more than 24 bytes a key at 85 % load.
func TestMemoryOfAKey(t *testing.T) {
	if kind := hasPointer(reflect.TypeFor[line]()); kind != "" {
		t.Errorf("a line has a %s", kind)
	}
	keys := 1 << 20
	if raceEnabled {
		keys = 1 << 16
	}
	used := allocated(t, func() any {
		k, err := New(Config{Limit: PerDay(1), MaxKeys: keys})
		if err != nil {
			t.Fatal(err)
		}
		for i := range keys {
			k.AllowAt(k.base, strconv.Itoa(i), 1)
		}
		if s := k.Stats(); float64(s.Keys) < 0.999*float64(keys) {
			t.Errorf("%+v: no room for %d keys", s, keys)
		}
		return k
	})
	if perKey := float64(used) / float64(keys); perKey > 24 { // and less at 85 %
		t.Errorf("%v bytes a key", perKey)
	}
}

func hasPointer(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Array:
		return hasPointer(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if kind := hasPointer(t.Field(i).Type); kind != "" {
				return kind
			}
		}
		return ""
	case reflect.Int64, reflect.Uint64, reflect.Int32, reflect.Uint32:
		return ""
	}
	return t.Kind().String()
}

// allocated is by how much the heap grows for what f returns.
func allocated(t *testing.T, f func() any) uint64 {
	t.Helper()
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	kept := f()
	after := heap()
	runtime.KeepAlive(kept)
	return max(after, before) - before
}

// A flood of new keys, ten million of them at a cap of 100,000, neither grows
// the table nor lets a throttled key back in: at 5 an hour it gets 5.
func TestFloodLetsNobodyBackIn(t *testing.T) {
	flood, room := 10_000_000, 100_000
	if raceEnabled {
		room = 10_000
		flood = 200_000
	}
	var k *Keyed
	grown := allocated(t, func() any {
		var err error
		if k, err = New(Config{Limit: PerHour(5), MaxKeys: room}); err != nil {
			t.Fatal(err)
		}
		now := k.base
		admitted := 0
		key := make([]byte, 0, 20)
		for i := range flood {
			if i%1000 == 0 {
				now = now.Add(time.Microsecond)
				if k.AllowAt(now, "victim", 1).OK {
					admitted++
				}
			}
			key = strconv.AppendInt(key[:0], int64(i), 10)
			k.AllowAt(now, string(key), 1)
		}
		if admitted != 5 {
			t.Errorf("the victim got %d of 5", admitted)
		}
		return k
	})
	if limit := uint64(float64(room)*17/load) + 64<<10; grown > limit {
		t.Errorf("%d bytes, at most %d", grown, limit)
	}
	s := k.Stats()
	if s.Keys < room || s.Keys > s.Capacity || s.Overflow == 0 || s.Reused != 0 {
		t.Errorf("%+v", s)
	}
	// Each shared cell has one burst, too.
	if most := uint64(s.Capacity+len(k.table.shared)) * 5; s.Allowed > most {
		t.Errorf("%d let through, at most %d", s.Allowed, most)
	}
	later := k.base.Add(2 * time.Hour)
	if !k.AllowAt(later, "somebody new", 5).OK {
		t.Error("the table does not recover")
	}
	if s := k.Stats(); s.Reused == 0 {
		t.Errorf("%+v: no cell was reused", s)
	}
}

// A key that was charged to a shared cell is not fresh when it gets one of its
// own, and one that cannot get one is limited all the same.
func TestOverflowNeverOverAdmits(t *testing.T) {
	k, err := New(Config{Limit: PerMinute(10), MaxKeys: 1})
	if err != nil {
		t.Fatal(err)
	}
	now := k.base
	for i := 0; k.Stats().Keys < k.Stats().Capacity; i++ {
		k.AllowAt(now, strconv.Itoa(i), 10)
	}
	admitted := 0
	for i := range 600 { // ten minutes; after one all others have recovered
		if k.AllowAt(now.Add(time.Duration(i)*time.Second), "late", 1).OK {
			admitted++
		}
		if i == 59 && admitted != 10+9 { // and one each six seconds
			t.Errorf("%d let through in the first minute", admitted)
		}
	}
	if admitted != 10+99 {
		t.Errorf("%d let through", admitted)
	}
	if s := k.Stats(); s.Overflow != 60 || s.Reused != 1 { // also those that it denied
		t.Errorf("%+v", s)
	}
}

// Keys whose hashes collide in every bit that places them are limited each by
// itself as long as there is room, and together from then on. To look for such
// keys is vain: the seed is each limiter's own.
func TestCraftedCollisions(t *testing.T) {
	k, err := New(Config{Limit: PerHour(1), MaxKeys: 1000})
	if err != nil {
		t.Fatal(err)
	}
	tb := &k.table
	var same []uint64
	for h := uint64(1); len(same) < 40; h = h*6364136223846793005 + 1 {
		a, b := tb.places(h)
		if a/2 == 3 && b/2 == 3 { // one pair is all there is for them
			same = append(same, h)
		}
	}
	q := PerHour(1).quota()
	cells := 0
	for _, h := range same {
		if _, wait, ok := tb.enter(&q, h, 0, 1); ok && wait == 0 && tb.find(h) != nil {
			cells++
		}
	}
	if cells != 2*len(line{}) {
		t.Errorf("%d have a cell", cells)
	}
	for _, h := range same[:cells] {
		if tat := tb.find(h).tat.Load(); tat != q.interval {
			t.Errorf("%d was touched by others", tat)
		}
	}
	other, err := New(Config{Limit: PerHour(1), MaxKeys: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if other.table.hash("a") == tb.hash("a") && other.table.hash("b") == tb.hash("b") {
		t.Error("two limiters hash alike")
	}
}

// At the load that the table is made for, hardly a key finds no cell.
func TestHowManyFindNoCell(t *testing.T) {
	var tb table
	tb.init(100_000)
	q := PerHour(1).quota()
	for range 100_000 {
		tb.enter(&q, max(1, rand.Uint64()), 0, 1)
	}
	without := uint64(0)
	for i := range tb.stripes {
		without += tb.stripes[i].overflow.Load()
	}
	if without > 50 {
		t.Errorf("%d of 100,000", without)
	}
}

// Whoever takes a key's cell away may be held up between two steps for as long
// as it likes. The key gets one other cell meanwhile, and no fresh one with each
// call.
func TestOneOtherCellMeanwhile(t *testing.T) {
	const burst = 3
	k, err := New(Config{Limit: PerHour(burst), MaxKeys: 1})
	if err != nil {
		t.Fatal(err)
	}
	now := k.base.Add(2 * time.Hour)
	k.AllowAt(k.base, "a", burst)
	hash := k.table.hash("a")
	taken := k.table.find(hash)
	taken.tat.Store(claimed)
	admitted := 0
	for range 50 {
		if k.AllowAt(now, "a", 1).OK {
			admitted++
		}
	}
	if admitted != burst {
		t.Errorf("%d let through, want %d", admitted, burst)
	}
	q := PerHour(burst).quota()
	full := k.table.find(hash).tat.Load()
	k.refund(&q, k.at(now), "a", 1)
	k.charge(&q, k.at(now), "a", 2)
	if got, want := k.table.find(hash).tat.Load(), full+q.interval; got != want {
		t.Errorf("the account is at %d, want %d", got, want)
	}
	taken.hash.Store(k.table.hash("b"))
	taken.tat.Store(0)
	cells := 0
	for i := range k.table.lines {
		for j := range k.table.lines[i] {
			if k.table.lines[i][j].hash.Load() == hash {
				cells++
			}
		}
	}
	if cells != 1 {
		t.Errorf("%d cells of one key", cells)
	}
}

// The steps that a swap of hands can come between, one by one: nobody acts on a
// cell that is another key's by then.
func TestCellChangesHands(t *testing.T) {
	k, err := New(Config{Limit: PerSecond(1), MaxKeys: 1})
	if err != nil {
		t.Fatal(err)
	}
	tb := &k.table
	hash := tb.hash("a")
	k.AllowAt(k.base, "a", 1)
	c := tb.find(hash)

	tat := c.tat.Swap(claimed) // somebody takes the cell away
	if !k.AllowAt(k.base.Add(5*time.Second), "a", 1).OK {
		t.Error("denied for the time of a swap")
	}
	c.hash.Store(tb.hash("b"))
	c.tat.Store(tat)
	if own := tb.find(hash); own == nil || own == c {
		t.Error("no cell of its own")
	}
	c.raise(5)
	if c.tat.Load() != tat+5 {
		t.Error("not raised")
	}
	c.tat.Store(maxTAT)
	if c.raise(1 << 62); c.tat.Load() != maxTAT {
		t.Error("raised too far")
	}
	c.tat.Store(claimed)
	if c.raise(5); c.tat.Load() != claimed {
		t.Error("what is claimed must stay so")
	}
}

// A cell that changes hands again and again while a key that is over its limit
// asks: what it finds there is another's, who has recovered, and never its own.
func TestNobodyTakesFromAnothersCell(t *testing.T) {
	k, err := New(Config{Limit: PerHour(1), MaxKeys: 1})
	if err != nil {
		t.Fatal(err)
	}
	tb := &k.table
	for i := range tb.lines {
		for j := range tb.lines[i] {
			tb.lines[i][j].hash.Store(1)
			tb.lines[i][j].tat.Store(maxTAT)
		}
	}
	tb.shared[0].absorb(maxTAT)
	a, b := tb.hash("a"), tb.hash("b")
	c := &tb.home(a)[0]
	var calls atomic.Int64
	var over atomic.Bool
	var between atomic.Int64 // calls that took from b
	var wg sync.WaitGroup
	wg.Go(func() {
		for !over.Load() {
			c.tat.Store(claimed)
			c.hash.Store(b)
			c.tat.Store(0)
			for i := 0; i < 20 && c.tat.Load() == 0; i++ {
			}
			if !c.tat.CompareAndSwap(0, claimed) { // it is b's until what b was charged with has passed
				between.Add(1)
				for n := calls.Load(); calls.Load() == n && !over.Load(); {
					runtime.Gosched()
				}
				c.tat.Store(claimed)
			}
			c.hash.Store(a)
			c.tat.Store(maxTAT)
		}
	})
	for n := 0; n < 500_000 || n < 20_000_000 && between.Load() == 0; n++ {
		if k.AllowAt(k.base, "a", 1).OK {
			t.Error("let through on another's account")
			break
		}
		calls.Add(1)
	}
	over.Store(true)
	wg.Wait()
	if between.Load() == 0 && runtime.GOMAXPROCS(0) > 1 { // one alone is hardly ever interrupted there
		t.Error("nothing came between: says nothing")
	}
}
