package batchbench

import (
	"context"
	"fmt"
	"sync"
	"testing"
)

// A figure for a wrong answer would be worth nothing.
func TestEveryLibraryAnswers(t *testing.T) {
	const callers, each, limit = 1000, 3, 32
	for _, lib := range Libraries() {
		for n := 1; n <= 2; n++ {
			t.Run(fmt.Sprintf("%s/devices=%d", lib.Name, n), func(t *testing.T) {
				largest := &largestBatch{}
				devs := make([]*Device, n)
				for i := range devs {
					devs[i] = NewDevice(largest.see)
				}
				peer := lib.New(Setup{Devices: devs, MaxBatch: limit, Callers: callers, Linger: Linger})
				callAll(t, peer, callers, each)
				peer.Close()
				items := int64(0)
				for _, d := range devs {
					items += d.items.Load()
				}
				if items != callers*each {
					t.Errorf("devices computed %d items of %d: something is cached or lost", items, callers*each)
				}
				if largest.n > limit {
					t.Errorf("a batch of %d items, want at most %d", largest.n, limit)
				}
			})
		}
	}
}

func callAll(t *testing.T, peer Peer, callers, each int) {
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for j := range each {
				it := Item{ID: uint64(i*each + j), Cost: 1}
				if got, err := peer.Do(context.Background(), it); err != nil || got != it.Answer() {
					t.Errorf("item %d got %d, %v, want %d", it.ID, got, err, it.Answer())
				}
			}
		})
	}
	wg.Wait()
}

type largestBatch struct {
	mu sync.Mutex
	n  int
}

func (l *largestBatch) see(n, _ int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n = max(l.n, n)
}

func TestDeviceRunsOneBatchAtATime(t *testing.T) {
	var d *Device
	d = NewDevice(func(_, _ int) {
		defer func() {
			if recover() == nil {
				t.Error("a second batch at the same time passed")
			}
		}()
		d.Run(1, 1)
	})
	d.Run(1, 1)
}
