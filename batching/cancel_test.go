package batching_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/batching"
)

func TestCancelWhileQueuedIsNeverComputed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		b := newBatcher(t, g.run, batching.Config[int]{})
		calls := startAll(b, 0, 1, 2, 3)
		for _, i := range []int{1, 3} { // the oldest and the youngest that wait
			calls[i].cancel()
			calls[i].wants(t, context.Canceled)
		}
		g.open()
		calls[0].wants(t, 0)
		calls[2].wants(t, 4)
		if got, want := g.seen(), [][]int{{0}, {2}}; !reflect.DeepEqual(got, want) {
			t.Errorf("batches %v, want %v", got, want)
		}
		if s := b.Stats(); s.CancelledQueued != 2 || s.CancelledRunning != 0 || s.Items != 2 {
			t.Errorf("stats %+v", s)
		}
		closeBatcher(t, b)
	})
}

func TestCancelWhileRunning(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		b := newBatcher(t, g.run, batching.Config[int]{})
		first := start(b, 0)
		calls := startAll(b, 1, 2, 3)
		g.next <- struct{}{}
		first.wants(t, 0)
		synctest.Wait() // 1, 2 and 3 run together
		calls[0].cancel()
		calls[0].wants(t, context.Canceled) // though the batch still hangs
		if !calls[1].pending() || !calls[2].pending() {
			t.Error("a cancel reached the batch's other members")
		}
		g.open()
		calls[1].wants(t, 4)
		calls[2].wants(t, 6)
		if s := b.Stats(); s.CancelledRunning != 1 || s.CancelledQueued != 0 || s.Items != 4 {
			t.Errorf("stats %+v", s)
		}
		closeBatcher(t, b)
	})
}

func TestDeadlineReturnsItsOwnError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		b := newBatcher(t, g.run, batching.Config[int]{})
		for range 2 { // one inside run, one queued
			begin := time.Now()
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("cause"))
			_, err := b.Do(ctx, 1)
			cancel()
			if err != context.DeadlineExceeded || time.Since(begin) != time.Second {
				t.Errorf("Do = %v after %v, want the context's error after 1s", err, time.Since(begin))
			}
		}
		g.open()
		closeBatcher(t, b)
	})
}

func TestContextOverAtEntryQueuesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBatcher(t, echo, batching.Config[int]{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := b.Do(ctx, 1); err != context.Canceled {
			t.Errorf("Do = %v, want context.Canceled", err)
		}
		if s := b.Stats(); s.Submitted+s.RejectedFull+s.RejectedClosed != 0 {
			t.Errorf("stats %+v, want none", s)
		}
		closeBatcher(t, b)
	})
}

// members runs a batch of three whose context the test can watch.
func members(t *testing.T, work func(ctx context.Context, out []batching.Slot[int])) (*batching.Batcher[int, int], []*call) {
	t.Helper()
	hold := make(chan struct{})
	b := newBatcher(t, func(ctx context.Context, in []int, out []batching.Slot[int]) error {
		if len(in) == 1 {
			<-hold
			return nil
		}
		work(ctx, out)
		return nil
	}, batching.Config[int]{})
	first := start(b, 0)
	calls := startAll(b, 1, 2, 3)
	close(hold)
	first.wants(t, batching.ErrNoResult)
	return b, calls
}

func TestRunContextEndsWithTheLastMember(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var over bool
		b, calls := members(t, func(ctx context.Context, out []batching.Slot[int]) {
			<-ctx.Done()
			over = true
			for i := range out {
				if !out[i].Gone() {
					t.Errorf("slot %d is not gone", i)
				}
				out[i].Set(1) // harmless
			}
		})
		for _, c := range calls {
			synctest.Wait()
			if over {
				t.Error("run's context ended while a member waits")
			}
			c.cancel()
			c.wants(t, context.Canceled)
		}
		synctest.Wait()
		if !over {
			t.Error("run's context goes on though everybody has left")
		}
		closeBatcher(t, b)
	})
}

func TestRunContextEndsWhenTheRestHasLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, calls := members(t, func(ctx context.Context, out []batching.Slot[int]) {
			out[0].Set(1)
			<-ctx.Done()
			if out[0].Gone() {
				t.Error("an answered caller counts as gone")
			}
		})
		calls[0].wants(t, 1)
		calls[1].cancel()
		calls[2].cancel()
		closeBatcher(t, b)
		calls[1].wants(t, context.Canceled)
		calls[2].wants(t, context.Canceled)
	})
}

func TestRunContextSurvivesTheLastAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, calls := members(t, func(ctx context.Context, out []batching.Slot[int]) {
			pass(time.Second) // calls[2] leaves
			out[0].Set(1)
			out[1].Set(2)
			if ctx.Err() != nil {
				t.Error("answering the last member ended run's own context")
			}
		})
		calls[2].cancel()
		calls[0].wants(t, 1)
		calls[1].wants(t, 2)
		calls[2].wants(t, context.Canceled)
		closeBatcher(t, b)
	})
}

// The backend answers while somebody cancels. Either may win; both or neither
// must not.
func TestCancelRacingTheAnswer(t *testing.T) {
	type item struct{ cancel context.CancelFunc }
	b := newBatcher(t, func(_ context.Context, in []item, out []batching.Slot[int]) error {
		go in[0].cancel()
		out[0].Set(1)
		return nil
	}, batching.Config[item]{})
	var answered, cancelled uint64
	for range 5000 {
		ctx, cancel := context.WithCancel(t.Context())
		v, err := b.Do(ctx, item{cancel})
		switch {
		case err == nil && v == 1:
			answered++
		case err == context.Canceled && v == 0:
			cancelled++
		default:
			t.Fatalf("Do = %v, %v", v, err)
		}
		cancel()
	}
	closeBatcher(t, b)
	s := b.Stats()
	if s.Answered != answered || s.CancelledRunning != cancelled || s.Failed != 0 || s.Items != 5000 {
		t.Errorf("answered %d, cancelled %d, stats %+v", answered, cancelled, s)
	}
}
