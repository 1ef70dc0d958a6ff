package breaker_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/breaker"
)

// Each change begins where the one before ended, whoever makes it, and the hook
// may call all methods.
func TestStateChangesInOrder(t *testing.T) {
	var b *breaker.Breaker
	var cfg breaker.Config
	last, n := breaker.Closed, 0
	cfg.OnStateChange = func(from, to breaker.State) {
		if from != last {
			t.Errorf("from %v, was %v", from, last)
		}
		last = to
		if n++; n%100 == 0 {
			b.ForceClosed()
			b.ForceOpen()
			b.Reset()
			_, _ = b.Stats(), b.State()
			if p, err := b.Allow(); err == nil {
				p.Done(breaker.Ignore)
			}
			if err := b.Reconfigure(cfg); err != nil {
				t.Error(err)
			}
		}
	}
	b = newBreaker(t, cfg)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				b.ForceOpen()
				b.ForceClosed()
				b.Reset()
			}
		})
	}
	wg.Wait()
	for n <= 100 { // eight at once may find nothing to change
		b.ForceOpen()
		b.Reset()
	}
	if last != b.State() {
		t.Errorf("the last change was to %v, is %v", last, b.State())
	}
}

func TestStateChangePanics(t *testing.T) {
	n := 0
	b := newBreaker(t, breaker.Config{OnStateChange: func(_, _ breaker.State) {
		if n++; n == 1 {
			panic("hook")
		}
	}})
	func() {
		defer func() {
			if recover() != "hook" {
				t.Error("the panic is lost")
			}
		}()
		b.ForceOpen()
	}()
	b.Reset()
	want(t, b, breaker.Closed)
	if n != 2 {
		t.Error(n)
	}
}

func TestReconfigureNamesEveryField(t *testing.T) {
	b := newBreaker(t, breaker.Config{Name: "a"})
	err := b.Reconfigure(breaker.Config{
		Name: "b", FailureRate: 2, SlowRate: -1, SlowAfter: -1, ConsecutiveFailures: 1<<30 + 1, MinCalls: -1,
		Window: 1, OpenFor: time.Hour, MaxOpenFor: time.Minute, Probes: -1, ProbeTTL: -1,
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, field := range []string{"Name", "FailureRate", "SlowRate", "SlowAfter", "ConsecutiveFailures", "MinCalls", "Window", "MaxOpenFor", "Probes", "ProbeTTL"} {
		if !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("%s is not in %v", field, err)
		}
	}
}

// All time is the bubble's.
func TestBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.Config{ConsecutiveFailures: 1, Probes: 1})
		p, _ := b.Allow()
		p.Done(breaker.Failure)
		wait := b.Stats().RetryAfter
		<-time.After(wait - 1)
		if _, err := b.Allow(); err == nil {
			t.Error("let through too early")
		}
		<-time.After(1)
		if _, err := b.Allow(); err != nil {
			t.Error(err)
		}
	})
}

func TestNilAndZeroPermit(t *testing.T) {
	for _, p := range []*breaker.Permit{nil, {}} {
		p.FirstByte()
		p.FirstByteAt(time.Time{})
		p.Done(breaker.Failure)
		p.DoneAt(time.Time{}, breaker.Failure)
	}
}
