package batching_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/batching"
)

func TestCloseFinishesWhatWaits(t *testing.T) {
	for _, instances := range []int{1, 3} {
		bubble(t, func(t *testing.T) {
			g := newGate()
			b := newBatcher(t, g.run, batching.Config[int]{Instances: instances, MaxBatchSize: 2})
			calls := startAll(b, 0, 1, 2, 3, 4, 5, 6, 7, 8)
			closed := make(chan error)
			for range 3 { // every Close waits
				go func() { closed <- b.Close(context.Background()) }()
			}
			synctest.Wait()
			start(b, 9).wants(t, batching.ErrClosed)
			select {
			case err := <-closed:
				t.Errorf("Close returned %v while runs hang", err)
			default:
			}
			g.open()
			for i, c := range calls {
				c.wants(t, 2*i)
			}
			for range 3 {
				if err := <-closed; err != nil {
					t.Errorf("Close = %v", err)
				}
			}
			over, cancel := context.WithCancel(t.Context())
			cancel()
			if err := b.Close(over); err != nil {
				t.Errorf("Close of what is closed, with a context that is over = %v", err)
			}
			start(b, 9).wants(t, batching.ErrClosed)
			if s := b.Stats(); s.RejectedClosed != 2 {
				t.Errorf("RejectedClosed %d, want 2", s.RejectedClosed)
			}
		})
	}
}

func TestCloseIdle(t *testing.T) {
	for _, cfg := range []batching.Config[int]{{}, {Instances: 5}, {Instances: 5, Linger: time.Second}} {
		bubble(t, func(t *testing.T) {
			closeBatcher(t, newBatcher(t, echo, cfg)) // before the goroutines began

			b := newBatcher(t, echo, cfg)
			synctest.Wait()
			begin := time.Now()
			closeBatcher(t, b)
			if d := time.Since(begin); d != 0 {
				t.Errorf("took %v", d)
			}
		})
	}
}

func TestCloseSaysWhatHangs(t *testing.T) {
	for name, want := range map[string]string{
		"":      "batching: close: 2 runs have not returned (instance 0 with 1 items for 1s, instance 1 with 1 items for 1s), 3 items wait: context deadline exceeded",
		"seven": `batching: close "seven": 2 runs have not returned (instance 0 with 1 items for 1s, instance 1 with 1 items for 1s), 3 items wait: context deadline exceeded`,
	} {
		bubble(t, func(t *testing.T) {
			g := newGate()
			b := newBatcher(t, g.run, batching.Config[int]{Name: name, Instances: 2})
			calls := startAll(b, 0, 1, 2, 3, 4)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := b.Close(ctx)
			if err == nil || err.Error() != want || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Close = %v, want %s", err, want)
			}
			g.open()
			for i, c := range calls { // worked off all the same
				c.wants(t, 2*i)
			}
			closeBatcher(t, b)
		})
	}
}

func TestAbort(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		b := newBatcher(t, g.run, batching.Config[int]{MaxQueue: 8, Instances: 2})
		earlier := startAll(b, 0, 1, 2, 3, 4, 5, 6, 7) // what they leave behind is reused
		for range 3 {
			g.next <- struct{}{}
		}
		for i, c := range earlier {
			c.wants(t, 2*i)
		}
		synctest.Wait()
		calls := startAll(b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
		b.Abort()
		b.Abort()
		for _, c := range calls[2:] {
			c.wants(t, batching.ErrClosed)
		}
		start(b, 10).wants(t, batching.ErrClosed)
		if !calls[0].pending() || !calls[1].pending() {
			t.Error("Abort reached what runs")
		}
		g.open()
		calls[0].wants(t, 0)
		calls[1].wants(t, 2)
		closeBatcher(t, b)
		s := b.Stats()
		if s.Aborted != 8 || s.RejectedClosed != 1 || s.Answered != 8+2 {
			t.Errorf("stats %+v", s)
		}
		checkSums(t, s)
	})
}

func TestAbortEndsTheGoroutinesByItself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBatcher(t, echo, batching.Config[int]{Instances: 4})
		synctest.Wait()
		b.Abort()
	})
}

func TestAbortHelpsACloseThatHangs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		b := newBatcher(t, g.run, batching.Config[int]{MaxBatchSize: 1})
		calls := startAll(b, 0, 1, 2)
		closed := make(chan error)
		go func() { closed <- b.Close(context.Background()) }()
		synctest.Wait()
		b.Abort()
		calls[1].wants(t, batching.ErrClosed)
		calls[2].wants(t, batching.ErrClosed)
		g.next <- struct{}{}
		calls[0].wants(t, 0)
		if err := <-closed; err != nil {
			t.Errorf("Close = %v", err)
		}
	})
}

// The instances end on every way to a close, including one where all of them
// leave run by runtime.Goexit after it.
func TestCloseAfterGoexit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBatcher(t, func(context.Context, []int, []batching.Slot[int]) error {
			pass(time.Second)
			runtime.Goexit()
			return nil
		}, batching.Config[int]{Instances: 2, MaxBatchSize: 1})
		calls := startAll(b, 0, 1, 2, 3, 4)
		closeBatcher(t, b)
		for _, c := range calls {
			c.wants(t, batching.ErrNoResult)
		}
	})
}

// Outside of a bubble, too, nothing of the batcher is left after Close.
func TestNoGoroutineLeft(t *testing.T) {
	b := newBatcher(t, func(_ context.Context, in []leakMark, out []batching.Slot[int]) error {
		out[0].Set(1)
		return nil
	}, batching.Config[leakMark]{Instances: 8, Linger: time.Microsecond})
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() { _, _ = b.Do(t.Context(), leakMark{}) })
	}
	wg.Wait()
	closeBatcher(t, b)
	for tries := 0; ; tries++ {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		if !strings.Contains(string(stacks), "ballast/batching.(*Batcher[") {
			return
		}
		if tries == 10_000 {
			t.Fatalf("a goroutine is left:\n%s", stacks)
		}
		runtime.Gosched() // the last instance announces its end just before it ends
	}
}

type leakMark struct{}
