package batching_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ballast-go/ballast/batching"
)

// storyItem is an item of a batcher that uses everything there is.
type storyItem struct {
	n, level, cost int
	tenant, group  string
	fate           fate
	hangs          bool
}

const storyCost = 40 // the most that a batch may cost

// storyBackend does everything wrong, and hangs now and then until stop.
func storyBackend(stop <-chan struct{}) func(context.Context, []storyItem, []batching.Slot[int]) error {
	return func(ctx context.Context, in []storyItem, out []batching.Slot[int]) error {
		cost := 0
		for _, item := range in {
			cost += item.cost
			if item.group != in[0].group {
				panic("two groups in a batch")
			}
		}
		if cost > storyCost {
			panic("a batch that costs too much")
		}
		for i, item := range in {
			if item.hangs {
				switch item.n % 3 {
				case 0: // deaf, for a while
					pass(time.Duration(2+rand.IntN(8)) * time.Millisecond)
				case 1:
					<-ctx.Done()
					return ctx.Err()
				case 2: // deaf for good
					select {
					case <-stop:
					case <-time.After(50 * time.Millisecond):
					}
				}
			}
			switch item.fate {
			case fine:
				out[i].Set(item.n)
			case failed:
				out[i].Fail(errItem)
			case answeredLate:
				go out[i].Set(item.n)
			case answeredElsewhere:
				go func() {
					runtime.Gosched()
					out[i].Set(item.n)
				}()
			}
			if rand.IntN(200) == 0 {
				panic("story")
			}
			if rand.IntN(200) == 0 {
				runtime.Goexit()
			}
		}
		return nil
	}
}

// story counts what callers of such a batcher saw.
type story struct {
	entered, ctx, full, closed, answered, failed, late, shed, large atomic.Uint64
}

func (c *story) add(t *testing.T, want, got int, err error) {
	switch _, panicked := errors.AsType[*batching.PanicError](err); {
	case err == nil && got == want:
		c.answered.Add(1)
	case err == nil || got != 0:
		t.Errorf("Do(%d) = %d, %v", want, got, err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		c.ctx.Add(1)
	case errors.Is(err, batching.ErrQueueFull):
		c.full.Add(1)
	case errors.Is(err, batching.ErrClosed):
		c.closed.Add(1)
	case errors.Is(err, batching.ErrShed):
		c.shed.Add(1)
	case errors.Is(err, batching.ErrBatchTimeout):
		c.late.Add(1)
	case errors.Is(err, batching.ErrTooLarge):
		c.large.Add(1)
	case errors.Is(err, errItem), errors.Is(err, batching.ErrNoResult), panicked:
		c.failed.Add(1)
		if panicked && err.Error() != "batching: run panicked: story" {
			t.Errorf("Do(%d): %v", want, err)
		}
	default:
		t.Errorf("Do(%d) = %d, %v", want, got, err)
	}
}

// storyCalls makes n calls, from first on, as one DoMany or as so many Dos.
func storyCalls(t *testing.T, b *batching.Batcher[storyItem, int], first, n int, c *story) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	switch rand.IntN(8) {
	case 0:
		yields := rand.IntN(30)
		go func() {
			for range yields {
				runtime.Gosched()
			}
			cancel()
		}()
	case 1:
		ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.IntN(5000))*time.Microsecond)
		defer cancel()
	}
	items := make([]storyItem, n)
	for i := range items {
		items[i] = storyItem{
			n: first + i, level: rand.IntN(3), cost: 1 + rand.IntN(10), fate: fate(rand.IntN(5)),
			tenant: string(rune('a' + rand.IntN(4))), group: string(rune('x' + rand.IntN(3))), hangs: rand.IntN(300) == 0,
		}
		if rand.IntN(100) == 0 {
			items[i].cost = storyCost + 1
		}
	}
	c.entered.Add(uint64(n))
	if n == 1 {
		got, err := b.Do(ctx, items[0])
		c.add(t, first, got, err)
		return
	}
	got, errs := b.DoMany(ctx, items)
	for i := range items {
		var err error
		if errs != nil {
			err = errs[i]
		}
		c.add(t, first+i, got[i], err)
	}
}

// 40,000 calls to a batcher with everything on, and an Abort near the end:
// each has one outcome, and the books balance, at the end and at every moment.
func TestStressWithEverythingOn(t *testing.T) {
	const calls, callers = 40_000, 100
	var exhausted atomic.Uint64
	stop := make(chan struct{})
	b := newBatcher(t, storyBackend(stop), batching.Config[storyItem]{
		Instances: 3, MaxQueue: 160, MaxBatchSize: 16, Linger: 200 * time.Microsecond,
		BatchTimeout: 5 * time.Millisecond, TargetLatency: 10 * time.Millisecond, OnExhausted: func(error) { exhausted.Add(1) },
		Priorities: 3, Priority: func(i storyItem) int { return i.level },
		Tenant: func(i storyItem) string { return i.tenant }, TenantWeight: func(name string) int { return int(name[0]-'a') + 1 },
		Group: func(i storyItem) string { return i.group },
		Cost:  func(i storyItem) int { return i.cost }, MaxBatchCost: storyCost, Sizes: []int{1, 4, 16},
	})
	var (
		c                 story
		started           atomic.Int64
		working, watching sync.WaitGroup
		finished          = make(chan struct{})
	)
	watching.Go(func() { watch(t, b, finished) })
	for range callers {
		working.Go(func() {
			for {
				n := 1
				if rand.IntN(8) == 0 {
					n = 2 + rand.IntN(20)
				}
				first := int(started.Add(int64(n))) - n + 1
				if first > calls {
					return
				}
				if first <= calls*9/10 && first+n > calls*9/10 {
					b.Abort()
				}
				storyCalls(t, b, first, n, &c)
				// Or those that are refused at once make all the calls.
				pass(time.Duration(rand.IntN(4000)) * time.Microsecond)
			}
		})
	}
	working.Wait()
	close(stop)
	closeBatcher(t, b)
	close(finished)
	watching.Wait()
	c.balance(t, b.Stats(), exhausted.Load())
}

// watch checks the books at every moment: they add up, and nothing falls.
func watch[In, Out any](t *testing.T, b *batching.Batcher[In, Out], finished <-chan struct{}) {
	counters := func(s batching.Stats) []uint64 {
		return []uint64{
			s.Submitted, s.RejectedFull, s.RejectedClosed, s.Shed, s.CancelledQueued, s.Displaced, s.Expired, s.Aborted,
			s.CancelledRunning, s.Answered, s.Failed, s.TimedOut, s.Batches, s.Items, s.Padding, s.Panics, s.Timeouts,
		}
	}
	last := counters(b.Stats())
	for {
		s := b.Stats()
		checkSums(t, s)
		if sealed := s.Seals.Full + s.Seals.Idle + s.Seals.Linger + s.Seals.Deadline + s.Seals.Close; sealed != s.Batches {
			t.Errorf("%d seals of %d batches: %+v", sealed, s.Batches, s.Seals)
		}
		if s.Busy > len(s.Instances) || s.Saturation < 0 || s.Saturation > 1 {
			t.Errorf("Busy %d of %d, Saturation %v", s.Busy, len(s.Instances), s.Saturation)
		}
		now := counters(s)
		for i := range now {
			if now[i] < last[i] {
				t.Errorf("counter %d fell from %d to %d", i, last[i], now[i])
			}
		}
		last = now
		select {
		case <-finished:
			return
		default:
			runtime.Gosched()
		}
	}
}

func (c *story) balance(t *testing.T, s batching.Stats, exhausted uint64) {
	t.Helper()
	checkSums(t, s)
	if s.Queued != 0 || s.Running != 0 || s.Busy != 0 || s.Hung != 0 {
		t.Errorf("something is left: %d queued, %d running, %d busy, %d hung", s.Queued, s.Running, s.Busy, s.Hung)
	}
	counted := s.Submitted + s.RejectedFull + s.RejectedClosed + s.Shed + c.large.Load()
	for _, book := range []struct {
		what         string
		ours, theirs uint64
	}{
		{"answered", s.Answered, c.answered.Load()},
		{"failed", s.Failed, c.failed.Load()},
		{"timed out", s.TimedOut, c.late.Load()},
		{"shed", s.Shed + s.Expired, c.shed.Load()},
		{"queue full", s.RejectedFull + s.Displaced, c.full.Load()},
		{"closed", s.RejectedClosed + s.Aborted, c.closed.Load()},
		{"context ended", s.CancelledQueued + s.CancelledRunning + c.entered.Load() - counted, c.ctx.Load()},
	} {
		if book.ours != book.theirs {
			t.Errorf("%s: batcher counts %d, callers %d", book.what, book.ours, book.theirs)
		}
		t.Logf("%s: %d", book.what, book.theirs)
	}
	t.Logf("%d batches, %d timeouts, %d panics, OnExhausted %d times, %d displaced, %d aborted, %+v", s.Batches, s.Timeouts, s.Panics, exhausted, s.Displaced, s.Aborted, s.Seals)
	for what, n := range map[string]uint64{"Answered": s.Answered, "Timeouts": s.Timeouts, "ErrTooLarge": c.large.Load(), "closed": c.closed.Load(), "shed": c.shed.Load()} {
		if n == 0 {
			t.Errorf("the stress never came to: %s", what)
		}
	}
}
