package breaker_test

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ballast-go/ballast/breaker"
)

func TestVetFindsCopiedPermit(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "vet", "-copylocks", "./testdata/copied").CombinedOutput()
	if err == nil || strings.Count(string(out), "lock by value: github.com/ballast-go/ballast/breaker.Permit")+
		strings.Count(string(out), "copies lock value: github.com/ballast-go/ballast/breaker.Permit") < 2 {
		t.Errorf("go vet says %v:\n%s", err, out)
	}
}

// A permit at any place of a slab finds back to it, timed or not.
func TestEveryPlaceOfASlab(t *testing.T) {
	const n = 3*breaker.SlabSize + 1
	for _, slowAfter := range []time.Duration{0, time.Second} {
		b, c := newBreaker(t, breaker.Config{SlowAfter: slowAfter, SlowRate: 1, FailureRate: 1, MinCalls: 2 * n}), newClock()
		var permits []*breaker.Permit
		for range n {
			permits = append(permits, c.allow(t, b))
		}
		slow := uint64(0)
		for i := n - 1; i >= 0; i-- {
			at := c.t
			if i%3 == 0 && slowAfter > 0 {
				at = at.Add(slowAfter)
				slow++
			}
			permits[i].FirstByteAt(at)
			permits[i].DoneAt(c.t.Add(time.Hour), breaker.Success)
			permits[i].DoneAt(c.t, breaker.Failure)
		}
		if s := b.Stats(); s.Successes != n || s.Failures != 0 || s.Slow != slow {
			t.Errorf("%+v, want %d slow", s, slow)
		}
	}
}
