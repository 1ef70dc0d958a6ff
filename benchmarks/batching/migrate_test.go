package batchbench_test

// Coming from another batcher: the same small service before and after. These
// examples are compiled and run, so they cannot rot.

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/graph-gophers/dataloader/v7"
	"google.golang.org/api/support/bundler"

	"github.com/ballast-go/ballast/batching"
)

// job is what a bundler's caller makes to get an answer back.
type job struct {
	text   string
	answer chan string
}

// From google.golang.org/api/support/bundler.
//
//	BundleCountThreshold      MaxBatchSize
//	BundleByteThreshold       nothing: it starts a bundle and does not bound it
//	BundleByteLimit           MaxBatchCost, with Cost; ErrOversizedItem becomes ErrTooLarge
//	BufferedByteLimit         MaxQueue, in items; ErrOverflow becomes ErrQueueFull
//	DelayThreshold            Linger, but 0 is what you want: nothing waits while an instance is idle
//	HandlerLimit              Instances
//	Add, AddWait              Do: it waits for the answer, and for no place in the queue
//	Flush                     the results of Do are the flush; Close only at the end
//	a channel in each item    the result of Do
//	a panic in the handler    ended the process; now *PanicError for the callers
//	a handler that hangs      BatchTimeout
//	nothing                   the context: who leaves the queue is not computed
func Example_fromBundler() {
	// Before.
	old := bundler.NewBundler((*job)(nil), func(items any) {
		for _, j := range items.([]*job) {
			j.answer <- strings.ToUpper(j.text)
		}
	})
	old.DelayThreshold = time.Millisecond
	old.BundleCountThreshold = 32
	j := &job{"ballast", make(chan string, 1)}
	if err := old.Add(j, 1); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(<-j.answer)
	old.Flush()

	// After.
	b, err := batching.New(func(_ context.Context, in []string, out []batching.Slot[string]) error {
		for i, text := range in {
			out[i].Set(strings.ToUpper(text))
		}
		return nil
	}, batching.Config[string]{MaxBatchSize: 32})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close(context.Background())
	fmt.Println(b.Do(context.Background(), "ballast"))
	// Output:
	// BALLAST
	// BALLAST <nil>
}

// From github.com/graph-gophers/dataloader/v7.
//
//	WithBatchCapacity           MaxBatchSize
//	WithInputCapacity           nothing: it is the channel of the batch that fills
//	nothing                     MaxQueue, ErrQueueFull: in flight there was no bound
//	WithWait                    Linger, but 0 is what you want
//	a loader a request          one Batcher a model, for the process
//	Load(ctx, k)()              Do(ctx, k)
//	LoadMany(ctx, ks)()         DoMany(ctx, ks)
//	Result{Data} at place i     out[i].Set
//	Result{Error} at place i    out[i].Fail
//	too few results             ErrNoResult for who has none
//	a panic                     was logged, *PanicErrorWrapper; now *PanicError
//	the first caller's context  the batch's own: it ends when all callers have left
//	the cache, merged keys      none: an item is computed for each call
//	a tracer                    none: a batch belongs to many traces
//
// From github.com/vikstrous/dataloadgen the same, but:
//
//	no input capacity           MaxQueue, ErrQueueFull
//	Load(ctx, k)                Do(ctx, k): both wait for the value
//	LoadThunk(ctx, k)           Do in a goroutine
//	LoadAll(ctx, ks)            DoMany(ctx, ks)
//	values[i], errs[i]          out[i].Set, out[i].Fail
//	a panic                     was an error that is text alone; now *PanicError
func Example_fromDataloader() {
	ctx := context.Background()

	// Before.
	old := dataloader.NewBatchedLoader(func(_ context.Context, keys []int) []*dataloader.Result[string] {
		results := make([]*dataloader.Result[string], len(keys))
		for i, key := range keys {
			results[i] = &dataloader.Result[string]{Data: fmt.Sprint("user ", key)}
		}
		return results
	}, dataloader.WithWait[int, string](time.Millisecond), dataloader.WithCache[int, string](&dataloader.NoCache[int, string]{}))
	fmt.Println(old.Load(ctx, 7)())

	// After.
	b, err := batching.New(func(_ context.Context, in []int, out []batching.Slot[string]) error {
		for i, key := range in {
			out[i].Set(fmt.Sprint("user ", key))
		}
		return nil
	}, batching.Config[int]{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close(ctx)
	fmt.Println(b.Do(ctx, 7))
	fmt.Println(b.DoMany(ctx, []int{8, 9}))
	// Output:
	// user 7 <nil>
	// user 7 <nil>
	// [user 8 user 9] []
}
