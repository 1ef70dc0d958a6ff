package health_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/health"
)

func pass(context.Context) error { return nil }

// start makes a Health that is closed, completely, at the end of the test. In
// a bubble a goroutine that then remains fails the test.
func start(t testing.TB, c health.Config) *health.Health {
	t.Helper()
	h, err := health.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return h
}

// advance lets the bubble's clock run on by d, and everything due by then end.
func advance(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// switchable is a check whose outcome the test sets.
type switchable struct {
	err  atomic.Pointer[error]
	runs atomic.Int64
}

func failing(err error) *switchable {
	s := new(switchable)
	s.set(err)
	return s
}

func (s *switchable) set(err error) { s.err.Store(&err) }

func (s *switchable) check(context.Context) error {
	s.runs.Add(1)
	if err := s.err.Load(); err != nil {
		return *err
	}
	return nil
}

func wantIs(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func wantText(t *testing.T, what string, got error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if got == nil || !strings.Contains(got.Error(), part) {
			t.Errorf("%s = %v, want it to say %q", what, got, part)
		}
	}
}

// goroutinesIn counts the goroutines of the caller's bubble with the function on
// their stack. Those of other tests may still be on their way out.
func goroutinesIn(function string) int {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	n, bubble := 0, ""
	for one := range strings.SplitSeq(string(stacks), "\n\n") {
		header, _, _ := strings.Cut(one, "\n")
		_, number, found := strings.Cut(header, "synctest bubble ")
		if bubble == "" { // the caller's own stack is the first
			if bubble = number; !found {
				panic("not in a bubble: " + header)
			}
		}
		if number == bubble && strings.Contains(one, function) {
			n++
		}
	}
	return n
}
