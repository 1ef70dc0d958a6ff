package batching

import (
	"context"
	"testing"
	"time"
	"unsafe"
)

// A batcher may live for months in which the clock is set, or the machine suspended.
func TestOnBatchAfterClockWasSet(t *testing.T) {
	var sealed, since time.Time
	b, err := New(func(context.Context, []int, []Slot[int]) error { return nil }, Config[int]{
		OnBatch: func(_ context.Context, info BatchInfo) (context.Context, func(error)) {
			sealed = info.Sealed
			for _, since = range info.Members {
			}
			return nil, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(t.Context())
	// As New would have found it an hour before the clock was set: time.Time begins
	// with the wall clock's seconds, from bit 30 on, and has the monotonic one apart.
	before := b.epoch
	*(*uint64)(unsafe.Pointer(&b.epoch)) -= 3600 << 30
	if b.epoch.Sub(before) != 0 || b.epoch.Round(0).Sub(before.Round(0)) != -time.Hour {
		t.Skip("time.Time is not what it was")
	}
	start := time.Now()
	_, _ = b.Do(t.Context(), 1)
	for _, at := range []time.Time{sealed, since} {
		if d := at.Round(0).Sub(start.Round(0)); d < -time.Minute || d > time.Minute {
			t.Errorf("told of a batch %v from now", d)
		}
	}
}
