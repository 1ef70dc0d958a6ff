package breaker_test

import (
	"context"
	"testing"

	"github.com/ballast-go/ballast/breaker"
)

func TestAllocs(t *testing.T) {
	if raceEnabled {
		return
	}
	b, c, open := newBreaker(t, breaker.Config{}), newClock(), newBreaker(t, breaker.Config{})
	open.ForceOpen()
	nothing := func(context.Context) error { return nil }
	one := func(context.Context) (int, error) { return 1, nil }
	for name, f := range map[string]func(){
		"AllowAt+DoneAt": func() { p, _ := b.AllowAt(c.t); p.DoneAt(c.t, breaker.Success) },
		"Do":             func() { _ = b.Do(t.Context(), nothing) },
		"Call":           func() { _, _ = breaker.Call(t.Context(), b, one) },
		"refused":        func() { _, _ = open.AllowAt(c.t) },
	} {
		if n := testing.AllocsPerRun(10*breaker.SlabSize, f); n != 0 {
			t.Errorf("%s: %v allocs", name, n)
		}
	}
}
