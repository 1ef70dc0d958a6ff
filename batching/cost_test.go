package batching_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/ballast-go/ballast/batching"
)

func TestMaxBatchCost(t *testing.T) {
	for _, c := range []struct {
		name  string
		most  int
		costs []int
		want  string
	}{
		{"exactly full", 10, []int{4, 6, 5, 5}, "0 1|2 3"},
		{"one more would be too much", 10, []int{4, 5, 2, 3, 10, 1}, "0 1|2 3|4|5"},
		{"below 1 counts as 1", 3, []int{0, -7, 1, 1}, "0 1 2|3"},
		{"a large one does not let small ones overtake", 10, []int{6, 10, 1, 1, 1}, "0|1|2 3 4"},
		{"as large as numbers get", math.MaxInt, []int{math.MaxInt, math.MaxInt, 1, math.MaxInt - 1}, "0|1|2 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := heldFloor(t, batching.Config[task]{MaxBatchSize: 16, Cost: taskCost, MaxBatchCost: c.most})
				for i, cost := range c.costs {
					f.put(task{id: i, cost: cost})
				}
				f.release(t)
				f.wantOrder(t, c.want)
			})
		})
	}
}

func TestTooLargeIsRefusedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFloor(t, batching.Config[task]{Cost: taskCost, MaxBatchCost: 10})
		if _, err := f.Do(t.Context(), task{cost: 11}); !errors.Is(err, batching.ErrTooLarge) {
			t.Errorf("Do = %v, want ErrTooLarge", err)
		}
		out, errs := f.DoMany(t.Context(), []task{{id: 1, cost: 10}, {id: 2, cost: math.MaxInt}})
		if out[0] != 1 || errs[0] != nil || !errors.Is(errs[1], batching.ErrTooLarge) {
			t.Errorf("DoMany = %v, %v", out, errs)
		}
		if s := f.Stats(); s.Submitted != 1 || s.RejectedFull+s.RejectedClosed+s.Shed != 0 {
			t.Errorf("Submitted %d, want 1, and nothing rejected: %+v", s.Submitted, s)
		}
		closeBatcher(t, f.Batcher)
	})
}

// An item that fills a batch by itself goes in its turn, whatever small ones
// come all the time.
func TestLargeItemIsNotStarved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFloor(t, batching.Config[task]{Cost: taskCost, MaxBatchCost: 10})
		ctx, cancel := context.WithCancel(t.Context())
		f.keep(ctx, 50, task{id: 1, cost: 1})
		f.forBatches(10)
		large := f.put(task{cost: 10})
		f.forBatches(7) // fifty before it, and what runs
		if large.pending() {
			t.Error("the large item still waits")
		}
		cancel()
		f.end(t)
		for _, batch := range f.batches {
			cost := 0
			for _, v := range batch {
				cost += v.cost
			}
			if cost > 10 {
				t.Errorf("a batch costs %d, want at most 10", cost)
			}
		}
	})
}

// Sizes: without knowledge a batch is padded; then whichever is cheaper for an
// item, by what runs took, padding or filling the size below.
func TestSizes(t *testing.T) {
	steep := func(size int) time.Duration { return time.Duration(size) * time.Millisecond }
	flat := func(size int) time.Duration { return 100*time.Millisecond + time.Duration(size) }
	for _, c := range []struct {
		name    string
		took    func(size int) time.Duration
		teach   []int // batches of so many, one after the other, before
		waiting int
		want    string // the batches that these n make
		padding uint64
	}{
		{"nothing known: all", flat, nil, 5, "5", 3},
		{"exact", steep, []int{1, 8}, 4, "4", 0},
		{"steep: fill the size below", steep, []int{1, 8}, 5, "4 1", 0},
		{"steep, nearly full", steep, []int{1, 8}, 7, "4 2 1", 0},
		{"flat: pad", flat, []int{1, 8}, 5, "5", 3},
		{"more than the largest", flat, []int{1, 8}, 19, "8 8 3", 1},
		{"below the smallest", steep, []int{1, 8}, 1, "1", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				got, begun := "", false
				var hold chan struct{}
				b := newBatcher(t, func(_ context.Context, in []int, out []batching.Slot[int]) error {
					if hold != nil && !begun {
						begun = true
						<-hold
						return errBatch
					}
					if hold != nil {
						got += fmt.Sprint(len(in), " ")
					}
					for _, size := range []int{1, 2, 4, 8} {
						if size >= len(in) {
							pass(c.took(size))
							return nil
						}
					}
					return errBatch
				}, batching.Config[int]{Sizes: []int{4, 8, 1, 2}})
				for _, n := range c.teach {
					b.DoMany(t.Context(), make([]int, n))
				}
				before := b.Stats().Padding
				hold = make(chan struct{})
				first := start(b, 0)
				calls := startAll(b, make([]int, c.waiting)...)
				close(hold)
				first.wants(t, errBatch)
				for _, call := range calls {
					call.wants(t, batching.ErrNoResult)
				}
				closeBatcher(t, b)
				if s := b.Stats(); got != c.want+" " || s.Padding-before != c.padding {
					t.Errorf("batches %s and padding %d, want %s and %d", got, s.Padding-before, c.want, c.padding)
				}
			})
		})
	}
}

// MaxBatchSize below the largest size, and a batch that cost ended early, are
// padded to the next size all the same.
func TestSizesWithOtherBounds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := heldFloor(t, batching.Config[task]{
			MaxBatchSize: 6, Sizes: []int{8, 4}, Cost: taskCost, MaxBatchCost: 50,
		})
		before := f.Stats().Padding // that of the batch that is held
		for i := range 6 {
			f.put(task{id: i, cost: 1})
		}
		for i := range 3 {
			f.put(task{id: 10 + i, cost: 20})
		}
		f.release(t)
		f.wantOrder(t, "0 1 2 3 4 5|10 11|12")
		if got := f.Stats().Padding - before; got != 2+2+3 {
			t.Errorf("padding %d, want 7", got)
		}
	})
}
