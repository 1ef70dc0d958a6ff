package breaker

import "testing"

// Neither a key that has a breaker nor one that comes in vain waits for a lock, nor
// is the group looked through again before it is time.
func TestGroupTakesNoLock(t *testing.T) {
	g, err := NewGroup(GroupConfig[string]{Max: 1})
	if err != nil {
		t.Fatal(err)
	}
	b := g.Get("a")
	if g.Get("in vain") != g.overflow {
		t.Fatal("more than Max")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.Get("b") != g.overflow || g.Get("a") != b {
		t.Error("other breakers")
	}
	members := g.members.Load()
	m := members.find("a")
	m.used.Store(true)
	if g.look(members) != members || !m.used.Load() {
		t.Error("looked through twice")
	}
}
