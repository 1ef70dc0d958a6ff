package authjwt

import (
	"reflect"
	"strings"
	"testing"
)

func TestBoxes(t *testing.T) {
	b := newBoxes()
	for i, want := range []bool{false, true, true} {
		if kept := b.of("a b"); (kept != nil) != want {
			t.Errorf("time %d: %v", i, kept)
		}
	}
	for range 3 {
		if v := b.value("a b"); v != "a b" {
			t.Error(v)
		}
		if v := b.split(" c  d "); !reflect.DeepEqual(v, []string{"c", "d"}) {
			t.Error(v)
		}
		if b.of(strings.Repeat("x", maxBox+1)) != nil {
			t.Error("a long one is kept")
		}
	}
	// What one caller appends no other one sees.
	first := append(b.split("a b"), "mine")
	if second := append(b.split("a b"), "yours"); first[2] != "mine" || second[2] != "yours" {
		t.Error(first, second)
	}
	if v := (*boxes)(nil).value("a"); v != "a" {
		t.Error(v)
	}
	if !raceEnabled {
		if n := leastAllocs(func() { b.value("a b") }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}

// However many strings come by, those kept are the slots' only.
func TestBoxesBound(t *testing.T) {
	b := newBoxes()
	for i := range 10_000 {
		s := strings.Repeat("y", i%maxBox) + string(rune('a'+i%26))
		b.of(s)
		b.of(s)
	}
	n := 0
	for i := range b.slots {
		if kept := b.slots[i].kept.Load(); kept != nil {
			n++
		}
	}
	if n == 0 || n > len(b.slots) {
		t.Errorf("%d kept", n)
	}
}
