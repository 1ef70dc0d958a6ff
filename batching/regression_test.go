package batching_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/ballast-go/ballast/batching"
)

// Whoever waits longest counts, though more urgent items keep coming.
func TestLingerIsNotStartedOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBatcher(t, echo, batching.Config[int]{
			Linger: linger, Priorities: 5, Priority: func(v int) int { return v },
		})
		begin := time.Now()
		oldest := start(b, 4)
		for i := 3; i >= 0; i-- {
			pass(linger - linger/10)
			start(b, i)
		}
		if got := <-oldest.done; got.err != nil || got.at.Sub(begin) > linger {
			t.Errorf("waited %v for company: %v", got.at.Sub(begin), got.err)
		}
		closeBatcher(t, b)
	})
}

func TestClosedComesBeforeShed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBatcher(t, func(_ context.Context, in []int, out []batching.Slot[int]) error {
			pass(time.Second)
			return nil
		}, batching.Config[int]{TargetLatency: 100 * time.Millisecond})
		_, _ = b.Do(t.Context(), 1)
		closeBatcher(t, b)
		if _, err := b.Do(t.Context(), 1); !errors.Is(err, batching.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestTheLongestDurations(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBatcher(t, echo, batching.Config[int]{TargetLatency: math.MaxInt64, BatchTimeout: math.MaxInt64})
		for i := range 3 {
			pass(time.Second)
			if _, err := b.Do(t.Context(), i); err != nil {
				t.Error(err)
			}
		}
		if n := b.Stats().Timeouts; n != 0 {
			t.Errorf("%d timeouts", n)
		}
		closeBatcher(t, b)
	})
}
