package batching_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/batching"
)

// arrive has a call come every gap for as long as d and returns how many were
// answered, in time or not at all otherwise.
func arrive(t *testing.T, b *batching.Batcher[int, int], gap, d time.Duration) (answered, all int) {
	t.Helper()
	var calls []*call
	var begins []time.Time
	for end := time.Now().Add(d); time.Now().Before(end); pass(gap) {
		begins = append(begins, time.Now())
		calls = append(calls, start(b, 1))
	}
	for i, c := range calls {
		got := <-c.done
		c.cancel()
		switch {
		case got.err == nil && got.at.Sub(begins[i]) <= target:
			answered++
		case got.err != nil && !errors.Is(got.err, batching.ErrShed):
			t.Errorf("Do = %d, %v after %v", got.out, got.err, got.at.Sub(begins[i]))
		}
	}
	return answered, len(calls)
}

// A backend that was too slow for everybody and is fast again must be found
// out, though calls are shed and the model learns nothing from those.
func TestShedEndsWhenTheBackendRecovers(t *testing.T) {
	for _, slower := range []int64{300, 700, 2000, 10_000} {
		bubble(t, func(t *testing.T) {
			var d device
			b := newBatcher(t, d.run, batching.Config[int]{TargetLatency: target, MaxBatchSize: deviceBatch})
			teach(t, b)
			d.slower.Store(slower)
			arrive(t, b, 5*time.Millisecond, 20*time.Second)
			if s := b.Stats(); slower >= 700 && s.Shed == 0 {
				t.Error("nothing is shed by a backend that is too slow")
			}
			d.slower.Store(100)
			arrive(t, b, 5*time.Millisecond, 15*time.Second)
			if answered, all := arrive(t, b, 5*time.Millisecond, 5*time.Second); answered < all*95/100 {
				t.Errorf("%d%% slower, fast again for 15 s: %d of %d answered", slower, answered, all)
			}
			closeBatcher(t, b)
		})
	}
}

// A backend that is too slow for all of the calls is not too slow for some.
func TestSlowBackendKeepsWhatCanBeInTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var d device
		b := newBatcher(t, d.run, batching.Config[int]{TargetLatency: target, MaxBatchSize: deviceBatch})
		teach(t, b)
		d.slower.Store(200) // a full batch takes 40 ms: twice its capacity comes
		arrive(t, b, 2*time.Millisecond, 10*time.Second)
		if answered, all := arrive(t, b, 2*time.Millisecond, 10*time.Second); answered < all*35/100 {
			t.Errorf("%d of %d answered in time by a backend that can half", answered, all)
		}
		closeBatcher(t, b)
	})
}

func TestStragglerShedsNothingAfterwards(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var d device
		b := newBatcher(t, d.run, batching.Config[int]{TargetLatency: target, MaxBatchSize: deviceBatch})
		teach(t, b)
		teach(t, b)
		for range 10 {
			d.slower.Store(5000)
			straggler := start(b, 1)
			d.slower.Store(100)
			straggler.wants(t, 2)
			before := b.Stats()
			if answered, all := arrive(t, b, 4*time.Millisecond, time.Second); answered != all {
				t.Errorf("after a straggler %d of %d answered", answered, all)
			}
			if s := b.Stats(); s.Shed != before.Shed || s.Expired != before.Expired {
				t.Errorf("after a straggler %d shed, %d expired", s.Shed-before.Shed, s.Expired-before.Expired)
			}
		}
		closeBatcher(t, b)
	})
}

// A run that is late is expected to take as long again: calls behind it are
// refused at once, and not left to wait until their time is up.
func TestLateRunSheds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var d device
		b := newBatcher(t, d.run, batching.Config[int]{TargetLatency: target, MaxBatchSize: deviceBatch})
		teach(t, b)
		d.slower.Store(100_000) // 11 s
		stuck := start(b, 1)
		pass(2 * target)
		for range 50 { // for 10 s
			start(b, 2).wantShed(t, time.Now(), 0)
			pass(200 * time.Millisecond)
		}
		d.slower.Store(100)
		stuck.wants(t, 2)
		synctest.Wait() // its caller may be awake before its instance is done
		start(b, 3).wants(t, 6)
		closeBatcher(t, b)
	})
}

// The same with instances: one that hangs takes its share with it, no more.
func TestLateRunOnOneOfTwoInstances(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var d device
		b := newBatcher(t, d.run, batching.Config[int]{TargetLatency: target, MaxBatchSize: deviceBatch, Instances: 2})
		for range 4 {
			calls := startAll(b, 1, 1, 1, 1, 1, 1)
			for _, c := range calls {
				c.wants(t, 2)
			}
		}
		d.slower.Store(100_000)
		stuck := start(b, 1)
		d.slower.Store(100)
		pass(2 * target)
		if answered, all := arrive(t, b, 4*time.Millisecond, 5*time.Second); answered < all*95/100 {
			t.Errorf("%d of %d answered by the other instance", answered, all)
		}
		stuck.wants(t, 2)
		closeBatcher(t, b)
	})
}

// With all instances and their replacements hung there is nothing to wait for.
// What the caller is told to wait is something that it can do.
func TestExhaustedSheds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHanger()
		b := newBatcher(t, func(ctx context.Context, in []int, out []batching.Slot[int]) error {
			pass(time.Millisecond)
			return h.run(ctx, in, out)
		}, batching.Config[int]{TargetLatency: target, BatchTimeout: timeout})
		for range 10 {
			start(b, 1).wants(t, 2)
		}
		start(b, -1).wants(t, batching.ErrBatchTimeout)
		start(b, -2).wants(t, batching.ErrBatchTimeout)
		for range 10 {
			begin := time.Now()
			shed := start(b, 1).wantShed(t, begin, 0)
			if shed.RetryAfter > time.Minute || shed.Estimate < target {
				t.Errorf("%+v", shed)
			}
			pass(time.Second)
		}
		h.let(-1, func() {})
		h.let(-2, func() {})
		start(b, 1).wants(t, 2)
		synctest.Wait()
		checkSums(t, b.Stats())
		closeBatcher(t, b)
	})
}
