package batching_test

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/batching"
)

const linger = 10 * time.Millisecond

// took checks that the call was answered d after begin.
func (c *call) took(t *testing.T, begin time.Time, d time.Duration) {
	t.Helper()
	got := <-c.done
	c.cancel()
	if got.err != nil || got.at.Sub(begin) != d {
		t.Errorf("answered after %v (%v), want %v", got.at.Sub(begin), got.err, d)
	}
}

func TestLinger(t *testing.T) {
	tests := []struct {
		name string
		cfg  batching.Config[int]
		f    func(t *testing.T, b *batching.Batcher[int, int], g *gate, begin time.Time)
		want [][]int
	}{
		{"an item waits that long, no longer", batching.Config[int]{},
			func(t *testing.T, b *batching.Batcher[int, int], g *gate, begin time.Time) {
				g.open()
				first := start(b, 1)
				pass(linger - 1)
				second := start(b, 2)
				first.took(t, begin, linger)
				second.took(t, begin, linger)
			}, [][]int{{1, 2}}},
		{"a full batch goes at once", batching.Config[int]{MaxBatchSize: 2},
			func(t *testing.T, b *batching.Batcher[int, int], g *gate, begin time.Time) {
				g.open()
				for _, c := range startAll(b, 1, 2) {
					c.took(t, begin, 0)
				}
				start(b, 3).took(t, begin, linger)
			}, [][]int{{1, 2}, {3}}},
		{"a full queue is a full batch", batching.Config[int]{MaxQueue: 3},
			func(t *testing.T, b *batching.Batcher[int, int], g *gate, begin time.Time) {
				g.open()
				for _, c := range startAll(b, 1, 2, 3) {
					c.took(t, begin, 0)
				}
			}, [][]int{{1, 2, 3}}},
		{"waiting for an instance counts", batching.Config[int]{MaxBatchSize: 2},
			func(t *testing.T, b *batching.Batcher[int, int], g *gate, begin time.Time) {
				startAll(b, 1, 2)
				pass(linger / 2)
				third := start(b, 3)
				pass(linger)
				g.open()
				third.took(t, begin, linger+linger/2)
			}, [][]int{{1, 2}, {3}}},
		{"the oldest left: the next oldest counts", batching.Config[int]{},
			func(t *testing.T, b *batching.Batcher[int, int], g *gate, begin time.Time) {
				g.open()
				first := start(b, 1)
				pass(linger / 2)
				second := start(b, 2)
				first.cancel()
				first.wants(t, context.Canceled)
				second.took(t, begin, linger+linger/2)
			}, [][]int{{2}}},
		{"all left: nothing runs, the next starts over", batching.Config[int]{},
			func(t *testing.T, b *batching.Batcher[int, int], g *gate, begin time.Time) {
				g.open()
				first := start(b, 1)
				first.cancel()
				first.wants(t, context.Canceled)
				pass(3 * linger)
				start(b, 2).took(t, begin, 4*linger)
			}, [][]int{{2}}},
		{"two idle instances share one batch", batching.Config[int]{Instances: 2},
			func(t *testing.T, b *batching.Batcher[int, int], g *gate, begin time.Time) {
				g.open()
				for _, c := range startAll(b, 1, 2, 3) {
					c.took(t, begin, linger)
				}
			}, [][]int{{1, 2, 3}}},
		{"an instance that comes free leaves the lingering one alone", batching.Config[int]{Instances: 2, MaxBatchSize: 2},
			func(t *testing.T, b *batching.Batcher[int, int], g *gate, begin time.Time) {
				calls := startAll(b, 1, 2, 3)
				g.next <- struct{}{}
				synctest.Wait()
				calls = append(calls, startAll(b, 4, 5, 6)...)
				if s := b.Stats(); s.Busy != 2 || s.Queued != 0 {
					t.Errorf("Busy %d, Queued %d, want 2 full batches in run", s.Busy, s.Queued)
				}
				g.open()
				for _, c := range calls {
					c.took(t, begin, 0)
				}
			}, [][]int{{1, 2}, {3, 4}, {5, 6}}},
		{"Close waits for nobody's company", batching.Config[int]{Instances: 2},
			func(t *testing.T, b *batching.Batcher[int, int], g *gate, begin time.Time) {
				g.open()
				c := start(b, 1)
				closeBatcher(t, b)
				c.took(t, begin, 0)
			}, [][]int{{1}}},
		{"Abort neither", batching.Config[int]{},
			func(t *testing.T, b *batching.Batcher[int, int], g *gate, begin time.Time) {
				c := start(b, 1)
				b.Abort()
				c.wants(t, batching.ErrClosed)
				closeBatcher(t, b)
				if d := time.Since(begin); d != 0 {
					t.Errorf("took %v", d)
				}
			}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				g := newGate()
				tt.cfg.Linger = linger
				b := newBatcher(t, g.run, tt.cfg)
				synctest.Wait()
				tt.f(t, b, g, time.Now())
				closeBatcher(t, b)
				if got := g.seen(); !reflect.DeepEqual(got, tt.want) {
					t.Errorf("batches %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// Arrivals fill the batch at the very moment the timer fires: whoever is first,
// no stale wake-up may be left behind, to act when it is nobody's turn.
func TestLingerTimerAndFullBatchTogether(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var running, most atomic.Int64
		b := newBatcher(t, func(_ context.Context, in []int, out []batching.Slot[int]) error {
			most.Store(max(most.Load(), running.Add(1)))
			pass(10 * linger)
			running.Add(-1)
			return nil
		}, batching.Config[int]{MaxBatchSize: 2, Linger: linger, Instances: 4})
		var wg sync.WaitGroup
		for i := range 300 {
			wg.Go(func() {
				pass(time.Duration(i/2) * 7 * linger)
				if i%2 == 1 {
					pass(linger)
				}
				begin := time.Now()
				_, err := b.Do(t.Context(), i)
				if d := time.Since(begin); !errors.Is(err, batching.ErrNoResult) || d > 11*linger {
					t.Errorf("Do(%d) = %v after %v, with idle instances", i, err, d)
				}
			})
		}
		wg.Wait()
		closeBatcher(t, b)
		if most.Load() > 4 {
			t.Errorf("%d runs at the same time on 4 instances", most.Load())
		}
	})
}
