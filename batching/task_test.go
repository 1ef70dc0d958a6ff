package batching_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/batching"
)

// task is an item of the tests of scheduling. It says itself what it is.
type task struct {
	id            int
	level         int
	tenant, group string
	cost          int
	arrive        time.Duration // in a schedule; so is what follows
	leave         time.Duration // when its caller leaves, 0: never
	deadline      bool          // known in advance
}

func taskLevel(v task) int     { return v.level }
func taskTenant(v task) string { return v.tenant }
func taskGroup(v task) string  { return v.group }
func taskCost(v task) int      { return v.cost }

// taskCall is a Do of a task that goes on in the background.
type taskCall struct {
	task   task
	cancel context.CancelFunc
	done   chan error
}

// pending reports whether the call still waits.
func (c *taskCall) pending() bool {
	synctest.Wait()
	return len(c.done) == 0
}

// floor is a backend whose batches take a millisecond, or until told to end,
// and that writes down what it was given, in order.
type floor struct {
	*batching.Batcher[task, int]
	held    chan struct{} // nil: not held
	callers sync.WaitGroup

	mu      sync.Mutex
	batches [][]task
}

// newFloor returns one that works.
func newFloor(t *testing.T, cfg batching.Config[task]) *floor {
	t.Helper()
	f := &floor{}
	f.Batcher = newBatcher(t, f.run, cfg)
	return f
}

// heldFloor returns one that is busy with a batch of its own until release, so
// that a test can fill the queue in its own time.
func heldFloor(t *testing.T, cfg batching.Config[task]) *floor {
	t.Helper()
	f := newFloor(t, cfg)
	f.hold()
	return f
}

// hold keeps it busy from now on. It is idle.
func (f *floor) hold() {
	f.held = make(chan struct{})
	f.put(task{id: -1, tenant: "nobody", group: "nothing"})
}

func (f *floor) run(_ context.Context, in []task, out []batching.Slot[int]) error {
	if f.held != nil {
		<-f.held
		if in[0].id < 0 {
			return errBatch // how long it took teaches nobody anything
		}
	}
	if in[0].id >= 0 {
		f.mu.Lock()
		f.batches = append(f.batches, slices.Clone(in))
		f.mu.Unlock()
	}
	pass(time.Millisecond)
	for i := range in {
		out[i].Set(in[i].id)
	}
	return nil
}

// put calls Do in the background and returns once it waits.
func (f *floor) put(v task) *taskCall { return f.putWithin(v, context.Background()) }

func (f *floor) putWithin(v task, ctx context.Context) *taskCall {
	pass(time.Microsecond) // no two come at the same moment
	ctx, cancel := context.WithCancel(ctx)
	c := &taskCall{task: v, cancel: cancel, done: make(chan error, 1)}
	go func() {
		_, err := f.Do(ctx, v)
		c.done <- err
	}()
	synctest.Wait()
	return c
}

// putAll puts tasks one after the other, with ids from 0 on.
func (f *floor) putAll(tasks ...task) []*taskCall {
	calls := make([]*taskCall, len(tasks))
	for i, v := range tasks {
		v.id = i
		calls[i] = f.put(v)
	}
	return calls
}

// release lets everything through that waits, and closes.
func (f *floor) release(t *testing.T) {
	t.Helper()
	close(f.held)
	closeBatcher(t, f.Batcher)
	checkSums(t, f.Stats())
}

// keep has so many callers submit v again and again until ctx ends.
func (f *floor) keep(ctx context.Context, callers int, v task) {
	for range callers {
		f.callers.Go(func() {
			for ctx.Err() == nil {
				if _, err := f.Do(ctx, v); err != nil && ctx.Err() == nil {
					pass(5 * time.Millisecond) // refused, or the refused make all the calls
				}
			}
		})
	}
}

// end closes when the callers of keep have been told to end.
func (f *floor) end(t *testing.T) {
	t.Helper()
	f.callers.Wait()
	closeBatcher(t, f.Batcher)
	checkSums(t, f.Stats())
}

// forBatches lets the batcher work until it has computed so many more.
func (f *floor) forBatches(n int) {
	pass(time.Duration(n) * time.Millisecond)
}

// order gives the ids of the batches, such as "0 1|2".
func (f *floor) order() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var batches []string
	for _, batch := range f.batches {
		var ids []string
		for _, v := range batch {
			ids = append(ids, fmt.Sprint(v.id))
		}
		batches = append(batches, strings.Join(ids, " "))
	}
	return strings.Join(batches, "|")
}

func (f *floor) wantOrder(t *testing.T, want string) {
	t.Helper()
	if got := f.order(); got != want {
		t.Errorf("ran  %s\nwant %s", got, want)
	}
}

// computed adds up the costs of what ran, by a key.
func (f *floor) computed(key func(task) string) map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	sums := make(map[string]int)
	for _, batch := range f.batches {
		for _, v := range batch {
			sums[key(v)] += max(1, v.cost)
		}
	}
	return sums
}

// forget forgets what ran.
func (f *floor) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.batches = nil
}
