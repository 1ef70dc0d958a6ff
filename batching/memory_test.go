package batching_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"weak"

	"github.com/ballast-go/ballast/batching"
)

// big is large enough to have an allocation of its own.
type big [1 << 16]byte

// freed checks that the collector takes what p points to, within a few cycles
// (sync.Pool needs two).
func freed[T any](t *testing.T, what string, p weak.Pointer[T]) {
	t.Helper()
	for range 10 {
		runtime.GC()
		if p.Value() == nil {
			return
		}
	}
	t.Errorf("%s is still reachable", what)
}

// doBig calls Do and returns weak pointers to what went in and came out.
func doBig(t *testing.T, ctx context.Context, b *batching.Batcher[*big, *big]) (in, out weak.Pointer[big]) {
	t.Helper()
	p := new(big)
	in = weak.Make(p)
	q, err := b.Do(ctx, p)
	if err != nil && ctx.Err() == nil {
		t.Error(err)
	}
	return in, weak.Make(q)
}

func TestInputsAndOutputsAreReleased(t *testing.T) {
	var late []batching.Slot[*big] // a goroutine of the backend may hold on to it
	b := newBatcher(t, func(_ context.Context, _ []*big, out []batching.Slot[*big]) error {
		late = out
		for i := range out {
			out[i].Set(new(big))
		}
		return nil
	}, batching.Config[*big]{})
	in, out := doBig(t, t.Context(), b)
	freed(t, "the input of an idle batcher's last call", in)
	freed(t, "the output, though its slot is kept", out)
	runtime.KeepAlive(late)
	closeBatcher(t, b)
}

func TestInputOfACallThatLeftTheQueueIsReleased(t *testing.T) {
	entered, hold := make(chan struct{}), make(chan struct{})
	b := newBatcher(t, func(context.Context, []*big, []batching.Slot[*big]) error {
		close(entered)
		<-hold
		return errItem
	}, batching.Config[*big]{})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _, _ = doBig(t, ctx, b) })
	<-entered
	waiting := make(chan weak.Pointer[big])
	go func() {
		in, _ := doBig(t, ctx, b)
		waiting <- in
	}()
	for b.Stats().Queued == 0 {
		runtime.Gosched()
	}
	cancel()
	freed(t, "the input", <-waiting)
	close(hold)
	running.Wait()
	closeBatcher(t, b)
}

// A closed batcher that its owner drops must not be held by its pool or by a
// context of its own.
func TestBatcherIsReleasedAfterClose(t *testing.T) {
	b := newBatcher(t, echo, batching.Config[int]{})
	if _, err := b.Do(t.Context(), 1); err != nil {
		t.Error(err)
	}
	closeBatcher(t, b)
	p := weak.Make(b)
	b = nil
	freed(t, "the batcher", p)
}
