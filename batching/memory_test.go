package batching_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"weak"

	"github.com/ballast-go/ballast/batching"
)

// big is large enough to have an allocation of its own.
type big [1 << 16]byte

// freed checks that the next collection takes what p points to. A second one
// would also empty the batcher's pool and prove less.
func freed[T any](t *testing.T, what string, p weak.Pointer[T]) {
	t.Helper()
	runtime.GC()
	if p.Value() != nil {
		t.Errorf("%s is still reachable", what)
	}
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
	bubble(t, func(t *testing.T) {
		var late []batching.Slot[*big] // a goroutine of the backend may hold on to it
		b := newBatcher(t, func(_ context.Context, _ []*big, out []batching.Slot[*big]) error {
			late = out
			out[0].Set(new(big))
			return nil
		}, batching.Config[*big]{})
		in, out := doBig(t, t.Context(), b)
		synctest.Wait() // the instance has parked
		freed(t, "the input of an idle batcher's last call", in)
		freed(t, "the output, though its slot is kept", out)
		runtime.KeepAlive(late)
		closeBatcher(t, b)
	})
}

func TestInputOfACallThatLeftTheQueueIsReleased(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hold := make(chan struct{})
		b := newBatcher(t, func(context.Context, []*big, []batching.Slot[*big]) error {
			<-hold
			return nil
		}, batching.Config[*big]{})
		ctx, cancel := context.WithCancel(t.Context())
		inputs := make(chan weak.Pointer[big])
		for range 2 { // the first fills the instance
			go func() {
				in, _ := doBig(t, ctx, b)
				inputs <- in
			}()
			synctest.Wait()
		}
		if s := b.Stats(); s.Queued != 1 {
			t.Errorf("Queued %d, want 1", s.Queued)
		}
		cancel()
		one, other := <-inputs, <-inputs
		runtime.GC()
		if (one.Value() == nil) == (other.Value() == nil) {
			t.Error("want the input in run kept and the one that was queued released")
		}
		close(hold)
		closeBatcher(t, b)
	})
}

// A closed batcher that its owner drops is not held by a context of its own.
func TestBatcherIsReleasedAfterClose(t *testing.T) {
	b := newBatcher(t, echo, batching.Config[int]{})
	if _, err := b.Do(t.Context(), 1); err != nil {
		t.Error(err)
	}
	closeBatcher(t, b)
	p := weak.Make(b)
	b = nil
	runtime.GC() // the runtime lets go of a pool
	runtime.GC() // in two collections
	freed(t, "the batcher", p)
}
