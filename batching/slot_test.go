package batching_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/batching"
)

var (
	errItem  = errors.New("this item is bad")
	errBatch = errors.New("the whole batch failed")
)

// threeOutcomes runs a batch of 1, 2 and 3 through work.
func threeOutcomes(t *testing.T, work func(out []batching.Slot[int]) error, want ...any) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		hold := make(chan struct{})
		b := newBatcher(t, func(_ context.Context, in []int, out []batching.Slot[int]) error {
			switch in[0] {
			case 0:
				<-hold
			case 1:
				return work(out)
			}
			out[0].Set(in[0])
			return nil
		}, batching.Config[int]{})
		first := start(b, 0)
		calls := startAll(b, 1, 2, 3)
		close(hold)
		first.wants(t, 0)
		for i, c := range calls {
			c.wants(t, want[i])
		}
		start(b, 7).wants(t, 7) // the next batch is fine
		closeBatcher(t, b)
		if s := b.Stats(); s.Answered+s.Failed != 5 || s.Batches != 3 || s.Busy != 0 || s.Running != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestUnsetSlot(t *testing.T) {
	threeOutcomes(t, func(out []batching.Slot[int]) error {
		out[1].Set(20)
		return nil
	}, batching.ErrNoResult, 20, batching.ErrNoResult)
}

func TestRunErrorIsForItemsWithoutTheirOwn(t *testing.T) {
	threeOutcomes(t, func(out []batching.Slot[int]) error {
		out[0].Fail(errItem)
		out[1].Set(20)
		return errBatch
	}, errItem, 20, errBatch)
}

func TestFirstSetOrFailCounts(t *testing.T) {
	threeOutcomes(t, func(out []batching.Slot[int]) error {
		out[0].Set(10)
		out[0].Set(11)
		out[0].Fail(errItem)
		out[1].Fail(errItem)
		out[1].Set(20)
		out[2].Fail(nil)
		return nil
	}, 10, errItem, batching.ErrNoResult)
}

func TestPanicIsForItemsWithoutAnAnswer(t *testing.T) {
	threeOutcomes(t, func(out []batching.Slot[int]) error {
		out[0].Fail(errItem)
		out[1].Set(20)
		panic("bad weights")
	}, errItem, 20, panicked("bad weights"))
}

func TestNilPanic(t *testing.T) {
	threeOutcomes(t, func([]batching.Slot[int]) error {
		panic(any(nil))
	}, panicked("panic called with nil"), panicked("panic called with nil"), panicked("panic called with nil"))
}

func TestGoexitCostsTheInstanceNothing(t *testing.T) {
	threeOutcomes(t, func(out []batching.Slot[int]) error {
		out[1].Set(20)
		runtime.Goexit()
		return nil
	}, batching.ErrNoResult, 20, batching.ErrNoResult)
}

func TestGoexitIsNamed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBatcher(t, func(context.Context, []int, []batching.Slot[int]) error {
			runtime.Goexit()
			return nil
		}, batching.Config[int]{})
		_, err := b.Do(t.Context(), 1)
		if !errors.Is(err, batching.ErrNoResult) || !strings.Contains(err.Error(), "runtime.Goexit") {
			t.Errorf("Do = %v, want an ErrNoResult that names runtime.Goexit", err)
		}
		closeBatcher(t, b)
	})
}

func TestSetAnswersAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hold := make(chan struct{})
		b := newBatcher(t, func(_ context.Context, in []int, out []batching.Slot[int]) error {
			out[0].Set(in[0])
			<-hold
			return errBatch
		}, batching.Config[int]{})
		start(b, 1).wants(t, 1)
		if s := b.Stats(); s.Answered != 1 || s.Busy != 1 || s.Running != 0 {
			t.Errorf("stats %+v", s)
		}
		close(hold)
		closeBatcher(t, b)
	})
}

// Goroutines that outlive run keep answering their old slots while the same
// callers' next items run. Under -race this also shows that nothing is reused.
func TestLateAnswersReachNobody(t *testing.T) {
	const rounds = 2000
	late := make(chan func(), rounds)
	b := newBatcher(t, func(_ context.Context, in []int, out []batching.Slot[int]) error {
		first := in[0] // in is the batcher's again after run; out is not
		late <- func() {
			for i := range out {
				out[i].Set(first + i - rounds)
				out[i].Fail(errItem)
				out[i].Gone()
			}
		}
		if in[0]%2 == 0 {
			out[0].Set(in[0])
		}
		return nil
	}, batching.Config[int]{})
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for f := range late {
			f()
		}
	}()
	for i := range rounds {
		v, err := b.Do(t.Context(), i)
		switch {
		case err == nil && v == i-rounds: // its own, by the goroutine, before run returned
		case i%2 == 0 && err == nil && v == i:
		case i%2 == 1 && errors.Is(err, batching.ErrNoResult):
		default:
			t.Fatalf("Do(%d) = %d, %v", i, v, err)
		}
	}
	closeBatcher(t, b)
	close(late)
	<-finished
}

func TestAnswerAfterTheCallerLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBatcher(t, func(ctx context.Context, in []int, out []batching.Slot[int]) error {
			if in[0] == 0 {
				if out[0].Gone() {
					t.Error("Gone before the caller left")
				}
				<-ctx.Done()
				pass(time.Second)
				if !out[0].Gone() {
					t.Error("not Gone after the caller left")
				}
			}
			out[0].Set(in[0] + 100)
			return nil
		}, batching.Config[int]{})
		c := start(b, 0)
		c.cancel()
		c.wants(t, context.Canceled)
		next := start(b, 1) // may reuse whatever the first call left
		next.wants(t, 101)
		closeBatcher(t, b)
	})
}

func TestZeroSlotIgnoresEverything(t *testing.T) {
	var s batching.Slot[int]
	s.Set(1)
	s.Fail(errItem)
	if s.Gone() {
		t.Error("Gone")
	}
}

func TestPanicError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBatcher(t, func(context.Context, []int, []batching.Slot[int]) error {
			panic(context.Canceled)
		}, batching.Config[int]{})
		_, err := b.Do(t.Context(), 1)
		p, ok := errors.AsType[*batching.PanicError](err)
		if !ok {
			t.Fatalf("Do = %v, want a *PanicError", err)
		}
		if p.Value != context.Canceled || !strings.Contains(string(p.Stack), "TestPanicError") {
			t.Errorf("Value %v, Stack %s", p.Value, p.Stack)
		}
		if errors.Is(err, context.Canceled) {
			t.Error("the panic's value passes for the error")
		}
		if got, want := p.Error(), "batching: run panicked: context canceled"; got != want {
			t.Errorf("Error() = %q, want %q", got, want)
		}
		synctest.Wait()
		if s := b.Stats(); s.Panics != 1 || s.Failed != 1 {
			t.Errorf("stats %+v", s)
		}
		closeBatcher(t, b)
	})
}
