package batching_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"weak"

	"github.com/ballast-go/ballast/batching"
)

// A run that was late has given everything back when it has returned, though
// a goroutine that it left behind keeps its slots.
func TestInputsOfALateRunAreReleased(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var late []batching.Slot[*big]
		hold := make(chan struct{})
		b := newBatcher(t, func(_ context.Context, _ []*big, out []batching.Slot[*big]) error {
			late = out
			<-hold
			out[0].Set(new(big))
			return nil
		}, batching.Config[*big]{BatchTimeout: timeout})
		p := new(big)
		in := weak.Make(p)
		_, err := b.Do(t.Context(), p)
		p = nil
		if err != batching.ErrBatchTimeout {
			t.Errorf("Do = %v", err)
		}
		runtime.GC()
		if in.Value() == nil {
			t.Error("the input was released while the hung run has it")
		}
		close(hold)
		synctest.Wait()
		freed(t, "the input of a run that was late and has returned", in)
		runtime.KeepAlive(late)
		closeBatcher(t, b)
	})
}

// manyBig calls DoMany and returns weak pointers to what went in and came out.
func manyBig(t *testing.T, ctx context.Context, b *batching.Batcher[*big, *big], n int) (in, out []weak.Pointer[big]) {
	t.Helper()
	items := make([]*big, n)
	for i := range items {
		items[i] = new(big)
		in = append(in, weak.Make(items[i]))
	}
	answers, errs := b.DoMany(ctx, items)
	if errs != nil && ctx.Err() == nil {
		t.Error(errs)
	}
	for _, answer := range answers {
		out = append(out, weak.Make(answer))
	}
	return in, out
}

func TestInputsAndOutputsOfDoManyAreReleased(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var late [][]batching.Slot[*big]
		b := newBatcher(t, func(_ context.Context, _ []*big, out []batching.Slot[*big]) error {
			late = append(late, out)
			for i := range out {
				out[i].Set(new(big))
			}
			return nil
		}, batching.Config[*big]{MaxBatchSize: 3})
		in, out := manyBig(t, t.Context(), b, 7)
		synctest.Wait()
		runtime.GC()
		for i := range in {
			if in[i].Value() != nil || out[i].Value() != nil {
				t.Errorf("item %d: input reachable %t, output reachable %t", i, in[i].Value() != nil, out[i].Value() != nil)
			}
		}
		runtime.KeepAlive(late)
		closeBatcher(t, b)
	})
}

func TestInputsOfADoManyThatLeftAreReleased(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hold := make(chan struct{})
		b := newBatcher(t, func(context.Context, []*big, []batching.Slot[*big]) error {
			<-hold
			return nil
		}, batching.Config[*big]{MaxBatchSize: 2})
		ctx, cancel := context.WithCancel(t.Context())
		inputs := make(chan []weak.Pointer[big])
		go func() {
			in, _ := manyBig(t, ctx, b, 5)
			inputs <- in
		}()
		synctest.Wait()
		cancel()
		kept := 0
		in := <-inputs
		runtime.GC()
		for _, p := range in {
			if p.Value() != nil {
				kept++
			}
		}
		if kept != 2 {
			t.Errorf("%d inputs are kept, want the 2 in run", kept)
		}
		close(hold)
		closeBatcher(t, b)
	})
}
