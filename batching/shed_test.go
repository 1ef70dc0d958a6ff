package batching_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/batching"
)

// device is a backend that takes 10 ms and 1 ms an item, times slower, and
// doubles its items.
type device struct {
	slower atomic.Int64 // in percent of 100, 0 is 100
	items  atomic.Int64
	most   atomic.Int64 // the largest item computed
}

const (
	deviceFixed = 10 * time.Millisecond
	devicePer   = time.Millisecond
	deviceBatch = 10 // with this MaxBatchSize it computes one item in 2 ms
	deviceItem  = 2 * time.Millisecond
)

func (d *device) run(_ context.Context, in []int, out []batching.Slot[int]) error {
	took := deviceFixed + time.Duration(len(in))*devicePer
	if p := d.slower.Load(); p != 0 {
		took = took * time.Duration(p) / 100
	}
	pass(took)
	d.items.Add(int64(len(in)))
	for i, v := range in {
		d.most.Store(max(d.most.Load(), int64(v)))
		out[i].Set(2 * v)
	}
	return nil
}

// startWith is start with a context of the test's own.
func startWith(ctx context.Context, b *batching.Batcher[int, int], in int) *call {
	ctx, cancel := context.WithCancel(ctx)
	c := &call{cancel: cancel, done: make(chan result, 1)}
	go func() {
		out, err := b.Do(ctx, in)
		c.done <- result{out, err, time.Now()}
	}()
	synctest.Wait()
	return c
}

// teach has the batcher see batches of 1 and 4 items, four of each.
func teach(t *testing.T, b *batching.Batcher[int, int]) {
	t.Helper()
	for range 4 {
		calls := startAll(b, 1, 1, 1, 1, 1)
		for _, c := range calls {
			c.wants(t, 2)
		}
	}
}

// wantShed checks that the call was shed d after begin, and what it was told.
func (c *call) wantShed(t *testing.T, begin time.Time, d time.Duration) *batching.ShedError {
	t.Helper()
	got := <-c.done
	c.cancel()
	shed, ok := errors.AsType[*batching.ShedError](got.err)
	if !ok || got.at.Sub(begin) != d {
		t.Errorf("Do = %d, %v after %v, want a *ShedError after %v", got.out, got.err, got.at.Sub(begin), d)
		return &batching.ShedError{}
	}
	if !errors.Is(got.err, batching.ErrShed) || !shed.Retryable() || shed.RetryAfter <= 0 || shed.RetryDelay() != shed.RetryAfter {
		t.Errorf("%+v: Is ErrShed %t, Retryable %t, RetryDelay %v", shed, errors.Is(got.err, batching.ErrShed), shed.Retryable(), shed.RetryDelay())
	}
	return shed
}

// split waits for all calls, which began at begin: how many were answered, and
// how many shed. Those that were answered must have been in time.
func split(t *testing.T, calls []*call, begin time.Time, target time.Duration) (answered, shed int) {
	t.Helper()
	for _, c := range calls {
		got := <-c.done
		c.cancel()
		switch {
		case got.err == nil && got.at.Sub(begin) <= target:
			answered++
		case errors.Is(got.err, batching.ErrShed):
			shed++
		default:
			t.Errorf("Do = %d, %v after %v", got.out, got.err, got.at.Sub(begin))
		}
	}
	return answered, shed
}

const target = 65 * time.Millisecond // three full batches, and a little

func TestNothingIsShedWhenNothingIsKnown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var d device
		b := newBatcher(t, d.run, batching.Config[int]{TargetLatency: target, MaxBatchSize: deviceBatch})
		var calls []*call
		for range 200 {
			calls = append(calls, start(b, 1))
		}
		if s := b.Stats(); s.Shed != 0 || s.Submitted != 200 {
			t.Errorf("Shed %d, Submitted %d of 200", s.Shed, s.Submitted)
		}
		split(t, calls, time.Now(), target)
		closeBatcher(t, b)
	})
}

func TestNothingIsShedWhenIdleAndFast(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var d device
		b := newBatcher(t, d.run, batching.Config[int]{TargetLatency: target, MaxBatchSize: deviceBatch})
		teach(t, b)
		for i := range 100 {
			pass(time.Duration(i) * time.Millisecond)
			ctx, cancel := context.WithTimeout(t.Context(), deviceFixed+2*devicePer)
			startWith(ctx, b, i).wants(t, 2*i)
			cancel()
		}
		if s := b.Stats(); s.Shed+s.Expired != 0 {
			t.Errorf("Shed %d, Expired %d", s.Shed, s.Expired)
		}
		closeBatcher(t, b)
	})
}

// Of a burst what can be answered within TargetLatency is, and the rest hears
// at once that it cannot, and never reaches the backend.
func TestShedAtAdmission(t *testing.T) {
	for _, instances := range []int{1, 2} {
		bubble(t, func(t *testing.T) {
			var d device
			b := newBatcher(t, d.run, batching.Config[int]{TargetLatency: target, MaxBatchSize: deviceBatch, Instances: instances})
			for range 4 { // batches of 1 and 10 on each
				for _, c := range startAll(b, make([]int, 11*instances)...) {
					c.wants(t, 0)
				}
			}
			before := d.items.Load()
			begin := time.Now()
			var calls []*call
			for range 100 {
				calls = append(calls, start(b, 1))
			}
			room := uint64(instances * (1 + 2*deviceBatch)) // ending after 11, 31 and 51 ms
			if n := 100 - b.Stats().Shed; n < room-5 || n > room+5 {
				t.Errorf("%d instances: %d of 100 accepted, though about %d can be in time", instances, n, room)
			}
			shed := start(b, 1).wantShed(t, begin, 0)
			if shed.Estimate <= target || shed.Estimate > 2*target || shed.RetryAfter > target {
				t.Errorf("%+v, want an estimate a little above %v", shed, target)
			}
			answered, refused := split(t, calls, begin, target)
			s := b.Stats()
			if s.Shed != uint64(refused)+1 || s.Expired != 0 || int(d.items.Load()-before) != answered {
				t.Errorf("%d answered, %d shed, %d computed, stats %+v", answered, refused, d.items.Load()-before, s)
			}
			checkSums(t, s)
			closeBatcher(t, b)
		})
	}
}

// The caller's own deadline counts where it is nearer than TargetLatency, and
// only there.
func TestShedByTheCallersDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var d device
		b := newBatcher(t, d.run, batching.Config[int]{TargetLatency: 10 * target, MaxBatchSize: deviceBatch})
		teach(t, b)
		begin := time.Now()
		busy := start(b, 1) // for 11 ms
		near, cancel := context.WithTimeout(t.Context(), deviceFixed+devicePer+5*time.Millisecond)
		defer cancel()
		startWith(near, b, 2).wantShed(t, begin, 0)
		far, cancel := context.WithTimeout(t.Context(), 3*deviceFixed)
		defer cancel()
		startWith(far, b, 3).took(t, begin, 2*(deviceFixed+devicePer))
		busy.wants(t, 2)
		closeBatcher(t, b)
	})
}

// An urgent call is not refused for what waits behind it.
func TestUrgentIsNotShedForLessUrgent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var d device
		b := newBatcher(t, d.run, batching.Config[int]{
			TargetLatency: target, MaxBatchSize: deviceBatch,
			Priorities: 2, Priority: func(v int) int { return v },
		})
		teach(t, b)
		begin := time.Now()
		var lesser []*call
		for range 100 {
			lesser = append(lesser, start(b, 1))
		}
		if b.Stats().Shed == 0 {
			t.Fatal("the less urgent are not shed")
		}
		var urgent []*call
		for range 10 {
			urgent = append(urgent, start(b, 0))
		}
		for _, c := range urgent {
			if got := <-c.done; got.err != nil || got.at.Sub(begin) > target {
				t.Errorf("urgent: %v after %v", got.err, got.at.Sub(begin))
			}
		}
		split(t, lesser, begin, target) // some run out of time in the queue
		checkSums(t, b.Stats())
		closeBatcher(t, b)
	})
}

// A tenant that floods is shed; another that uses less than its share is not.
func TestFloodingTenantIsShed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var d device
		b := newBatcher(t, d.run, batching.Config[int]{
			TargetLatency: target, MaxBatchSize: deviceBatch,
			Tenant: func(v int) string { return []string{"modest", "flood"}[v] },
		})
		teach(t, b)
		for range 10 {
			begin := time.Now()
			var flood []*call
			for range 100 {
				flood = append(flood, start(b, 1))
			}
			var modest []*call
			for range 5 {
				modest = append(modest, start(b, 0))
			}
			answered, shed := split(t, modest, begin, target)
			if answered != 5 {
				t.Errorf("modest tenant: %d of 5 answered, %d shed", answered, shed)
			}
			answered, shed = split(t, flood, begin, target)
			if shed < 60 || answered < 15 {
				t.Errorf("flooding tenant: %d answered, %d shed of 100", answered, shed)
			}
		}
		closeBatcher(t, b)
	})
}

// An accepted item whose time has run out when its turn comes is not computed.
func TestExpiredAtItsTurn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var d device
		b := newBatcher(t, d.run, batching.Config[int]{TargetLatency: target, MaxBatchSize: deviceBatch})
		teach(t, b)
		d.slower.Store(600) // as nobody could know
		begin := time.Now()
		slow := start(b, 1)
		late := start(b, 1000)
		slow.took(t, begin, 6*(deviceFixed+devicePer))
		late.wantShed(t, begin, 6*(deviceFixed+devicePer))
		if s := b.Stats(); s.Expired != 1 || s.Shed != 0 || s.CancelledQueued != 0 || d.most.Load() >= 1000 {
			t.Errorf("Expired %d, Shed %d, CancelledQueued %d, largest item computed %d", s.Expired, s.Shed, s.CancelledQueued, d.most.Load())
		}
		checkSums(t, b.Stats())
		closeBatcher(t, b)
	})
}
