package batching_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/batching"
)

// bubble runs f in a synctest bubble, which fails the test if f leaves a
// goroutine behind: every test that uses it is a leak test.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// pass lets d of a bubble's time go by. It uses no timer's own channel: whoever
// receives from one may run a bubble's timers beside the bubble, which crashes
// the race detector now and then (golang/go#78156).
func pass(d time.Duration) {
	if d <= 0 { // a timer that is due at once takes another way there, and crashed, too
		runtime.Gosched()
		return
	}
	passed := make(chan struct{})
	time.AfterFunc(d, func() { close(passed) })
	<-passed
}

func newBatcher[In, Out any](t testing.TB, run func(context.Context, []In, []batching.Slot[Out]) error, cfg batching.Config[In]) *batching.Batcher[In, Out] {
	t.Helper()
	b, err := batching.New(run, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func closeBatcher[In, Out any](t testing.TB, b *batching.Batcher[In, Out]) {
	t.Helper()
	if err := b.Close(context.Background()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// result is what a call of Do came to, and when.
type result struct {
	out int
	err error
	at  time.Time
}

// call is a Do that goes on in the background.
type call struct {
	cancel context.CancelFunc
	done   chan result
}

// start calls Do in the background and, in a bubble, returns once it waits.
func start(b *batching.Batcher[int, int], in int) *call {
	ctx, cancel := context.WithCancel(context.Background())
	c := &call{cancel: cancel, done: make(chan result, 1)}
	go func() {
		out, err := b.Do(ctx, in)
		c.done <- result{out, err, time.Now()}
	}()
	synctest.Wait()
	return c
}

// startAll starts one call after the other.
func startAll(b *batching.Batcher[int, int], in ...int) []*call {
	calls := make([]*call, len(in))
	for i, v := range in {
		calls[i] = start(b, v)
	}
	return calls
}

// panicked stands for a *PanicError whose value begins so.
type panicked string

// wants waits for the call's result and checks it. A want that is an error is
// compared with errors.Is.
func (c *call) wants(t *testing.T, want any) {
	t.Helper()
	got := <-c.done
	c.cancel()
	switch want := want.(type) {
	case panicked:
		p, ok := errors.AsType[*batching.PanicError](got.err)
		if !ok || !strings.HasPrefix(fmt.Sprint(p.Value), string(want)) {
			t.Errorf("Do = %v, %v, want a panic of %q", got.out, got.err, want)
		}
	case error:
		if !errors.Is(got.err, want) {
			t.Errorf("Do = %v, %v, want error %v", got.out, got.err, want)
		}
	default:
		if got.err != nil || got.out != want {
			t.Errorf("Do = %v, %v, want %v", got.out, got.err, want)
		}
	}
}

// pending reports whether the call still waits.
func (c *call) pending() bool {
	synctest.Wait()
	return len(c.done) == 0
}

// gate is a backend that announces each batch and doubles its items when told
// to. It records what it was given.
type gate struct {
	next chan struct{}

	mu      sync.Mutex
	batches [][]int
}

func newGate() *gate { return &gate{next: make(chan struct{})} }

func (g *gate) run(_ context.Context, in []int, out []batching.Slot[int]) error {
	g.mu.Lock()
	g.batches = append(g.batches, slices.Clone(in)) // in is the batcher's again after run
	g.mu.Unlock()
	<-g.next
	for i, v := range in {
		out[i].Set(2 * v)
	}
	return nil
}

// open lets every batch through from now on.
func (g *gate) open() { close(g.next) }

func (g *gate) seen() [][]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.batches
}
