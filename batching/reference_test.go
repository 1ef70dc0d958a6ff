package batching_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ballast-go/ballast/batching"
)

// naive is a batcher that is plainly right: a slice, a mutex, a condition
// variable, an answer channel a call. The real one must not differ from it in
// anything that a caller or a backend can see.
type naive struct {
	begin              time.Time
	maxBatch, maxQueue int
	run                func(in []plan, answer func(i int, r outcome)) error

	mu     sync.Mutex
	work   sync.Cond
	queue  []*naiveCall
	closed bool
}

type naiveCall struct {
	in   plan
	due  int64 // deadlines that differ by less than a tick do not count
	done chan outcome
}

// outcome is what a call comes to.
type outcome struct {
	out int
	err error
}

func newNaive(instances, maxBatch, maxQueue int, run func([]plan, func(int, outcome)) error) *naive {
	n := &naive{begin: time.Now(), maxBatch: maxBatch, maxQueue: maxQueue, run: run}
	n.work.L = &n.mu
	for range instances {
		go n.serve()
	}
	return n
}

func (n *naive) Do(ctx context.Context, in plan) (int, error) {
	deadline, _ := ctx.Deadline()
	c := &naiveCall{in, int64(deadline.Sub(n.begin)) >> 20, make(chan outcome, 2)} // its own answer and its batch's end; the first is read
	n.mu.Lock()
	if len(n.queue) >= n.maxQueue {
		n.mu.Unlock()
		return 0, batching.ErrQueueFull
	}
	n.queue = append(n.queue, c)
	slices.SortStableFunc(n.queue, func(a, b *naiveCall) int { return cmp.Compare(a.due, b.due) })
	n.work.Signal()
	n.mu.Unlock()
	select {
	case r := <-c.done:
		return r.out, r.err
	case <-ctx.Done():
		n.mu.Lock()
		n.queue = slices.DeleteFunc(n.queue, func(o *naiveCall) bool { return o == c })
		n.mu.Unlock()
		return 0, ctx.Err()
	}
}

func (n *naive) serve() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		for len(n.queue) == 0 {
			if n.closed {
				return
			}
			n.work.Wait()
		}
		k := min(len(n.queue), n.maxBatch)
		calls := n.queue[:k]
		n.queue = slices.Clone(n.queue[k:])
		n.mu.Unlock()
		n.execute(calls)
		n.mu.Lock()
	}
}

func (n *naive) execute(calls []*naiveCall) {
	var in []plan
	for _, c := range calls {
		in = append(in, c.in)
	}
	err := func() (err error) {
		defer func() {
			if v := recover(); v != nil {
				err = &batching.PanicError{Value: v}
			}
		}()
		return n.run(in, func(i int, r outcome) { calls[i].done <- r })
	}()
	if err == nil {
		err = batching.ErrNoResult
	}
	for _, c := range calls {
		c.done <- outcome{err: err}
	}
}

func (n *naive) Close(context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	n.work.Broadcast()
	return nil
}

// plan is one call of a schedule and what the backend does with it.
type plan struct {
	n       int
	arrive  time.Duration
	timeout time.Duration
	does    int // 0 to 9: see backend
}

// backend takes 100 µs and 50 µs an item, and does what its items ask for. The
// odd nanoseconds keep the end of a run from coinciding with a call's arrival, at
// whole 10 µs, or timeout, 3 µs later.
func backend(in []plan, answer func(i int, r outcome)) error {
	pass(100*time.Microsecond + time.Duration(len(in))*50*time.Microsecond + 7)
	for i, p := range in {
		switch p.does {
		case 0:
			answer(i, outcome{err: errItem})
		case 1: // unset
		case 2:
			return errBatch
		case 3:
			panic(p.n)
		default:
			answer(i, outcome{out: 2 * p.n})
		}
	}
	return nil
}

// schedule makes n calls, a tenth of them with a timeout that matters, in
// bursts that overrun the queue and lulls that empty it.
func schedule(rng *rand.Rand, n int) []plan {
	plans := make([]plan, n)
	at := time.Duration(0)
	for i := range plans {
		gap := 1 + rng.IntN(4)
		if i%50 == 0 {
			gap = 200
		}
		at += time.Duration(gap) * 10 * time.Microsecond
		plans[i] = plan{n: i, arrive: at, timeout: time.Hour, does: rng.IntN(40)}
		if rng.IntN(10) == 0 {
			// Unique: no two timeouts end together.
			plans[i].timeout = time.Duration(rng.IntN(100))*10*time.Microsecond + 3*time.Microsecond + time.Duration(i)
		}
	}
	return plans
}

// both are the batcher and its reference.
type both interface {
	Do(context.Context, plan) (int, error)
	Close(context.Context) error
}

// play drives one batcher through the schedule and writes down what each call
// came to and when, and the batches with the time of each.
func play(t *testing.T, plans []plan, start func(record func([]plan)) both) (outcomes, batches []string) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		begin := time.Now()
		var mu sync.Mutex
		b := start(func(in []plan) {
			mu.Lock()
			defer mu.Unlock()
			s := fmt.Sprint(time.Since(begin))
			for _, p := range in {
				s += fmt.Sprint(" ", p.n)
			}
			batches = append(batches, s)
		})
		outcomes = make([]string, len(plans))
		var wg sync.WaitGroup
		for i, p := range plans {
			wg.Go(func() {
				pass(p.arrive)
				ctx, cancel := context.WithTimeout(context.Background(), p.timeout)
				defer cancel()
				out, err := b.Do(ctx, p)
				outcomes[i] = fmt.Sprintf("call %d at %v: %d, %v", p.n, time.Since(begin), out, err)
			})
		}
		wg.Wait()
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	slices.Sort(batches) // two that begin at the same moment are in no order
	return outcomes, batches
}

// Same schedule, same outcomes at the same times, same batches.
func TestAgainstNaiveReference(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 1))
		instances, maxBatch, maxQueue := 1+rng.IntN(3), 1+rng.IntN(8), 1+rng.IntN(20)
		plans := schedule(rng, 400)
		gotOutcomes, gotBatches := play(t, plans, func(record func([]plan)) both {
			return newBatcher(t, func(_ context.Context, in []plan, out []batching.Slot[int]) error {
				record(in)
				return backend(in, func(i int, r outcome) {
					if r.err != nil {
						out[i].Fail(r.err)
					} else {
						out[i].Set(r.out)
					}
				})
			}, batching.Config[plan]{Instances: instances, MaxBatchSize: maxBatch, MaxQueue: maxQueue})
		})
		wantOutcomes, wantBatches := play(t, plans, func(record func([]plan)) both {
			return newNaive(instances, maxBatch, maxQueue, func(in []plan, answer func(int, outcome)) error {
				record(in)
				return backend(in, answer)
			})
		})
		same(t, seed, gotOutcomes, wantOutcomes)
		same(t, seed, gotBatches, wantBatches)
	}
}

// same fails at the first difference.
func same(t *testing.T, seed uint64, got, want []string) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("seed %d:\n got %s\nwant %s", seed, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("seed %d: got %d, want %d", seed, len(got), len(want))
	}
}
