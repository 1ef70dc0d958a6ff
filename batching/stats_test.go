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

// checkSums checks the two equations that Stats promises.
func checkSums(t *testing.T, s batching.Stats) {
	t.Helper()
	if s.Submitted != uint64(s.Queued)+s.CancelledQueued+s.Displaced+s.Expired+s.Aborted+s.Items ||
		s.Items != uint64(s.Running)+s.CancelledRunning+s.Answered+s.Failed+s.TimedOut ||
		s.Queued < 0 || s.Running < 0 || s.Busy < 0 || s.Hung < 0 {
		t.Errorf("does not add up: %+v", s)
	}
}

func TestStatsName(t *testing.T) {
	b := newBatcher(t, echo, batching.Config[int]{Name: "digits"})
	if got := b.Stats().Name; got != "digits" {
		t.Errorf("Name %q", got)
	}
	closeBatcher(t, b)
}

// stressItem tells the backend what to do with it.
type stressItem struct {
	n      int
	cancel context.CancelFunc // not nil: the backend cancels the caller
	fate   fate
}

type fate int

const (
	fine fate = iota
	failed
	unset
	answeredLate
	answeredElsewhere
)

// chaos is a backend that does everything wrong, at random.
func chaos(_ context.Context, in []stressItem, out []batching.Slot[int]) error {
	var elsewhere sync.WaitGroup
	defer elsewhere.Wait()
	half := rand.IntN(2 * len(in))
	for i, item := range in {
		if i == half { // in one batch of two
			switch rand.IntN(8) {
			case 0:
				panic("chaos")
			case 1:
				return errBatch
			case 2:
				runtime.Goexit()
			case 3:
				runtime.Gosched()
			}
		}
		if item.cancel != nil {
			item.cancel()
		}
		switch item.fate {
		case fine:
			out[i].Set(item.n)
		case failed:
			out[i].Fail(errItem)
		case answeredLate:
			go out[i].Set(item.n)
		case answeredElsewhere:
			elsewhere.Go(func() { out[i].Set(item.n) })
		}
	}
	return nil
}

// tally counts what callers saw.
type tally struct {
	dead, ctx, full, closed, answered, failed atomic.Uint64
}

func (c *tally) add(t *testing.T, want, got int, err error, dead bool) {
	switch {
	case dead:
		c.dead.Add(1)
	case err == nil && got == want:
		c.answered.Add(1)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		c.ctx.Add(1)
	case errors.Is(err, batching.ErrQueueFull):
		c.full.Add(1)
	case errors.Is(err, batching.ErrClosed):
		c.closed.Add(1)
	case errors.Is(err, errItem), errors.Is(err, errBatch), errors.Is(err, batching.ErrNoResult):
		c.failed.Add(1)
	default:
		if _, ok := errors.AsType[*batching.PanicError](err); !ok {
			t.Errorf("Do(%d) = %d, %v", want, got, err)
		}
		c.failed.Add(1)
	}
}

// stressCall makes call n with a context that ends at some random point: never,
// before the call, during it from outside, during it by the backend, or soon.
func stressCall(t *testing.T, b *batching.Batcher[stressItem, int], n int, c *tally) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	item := stressItem{n: n, fate: fate(rand.IntN(5))}
	dead := false
	switch rand.IntN(10) {
	case 0:
		cancel()
		dead = true
	case 1:
		yields := rand.IntN(20)
		go func() {
			for range yields {
				runtime.Gosched()
			}
			cancel()
		}()
	case 2:
		item.cancel = cancel
	case 3:
		ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.IntN(200))*time.Microsecond)
		defer cancel()
	}
	got, err := b.Do(ctx, item)
	c.add(t, n, got, err, dead)
	if errors.Is(err, batching.ErrQueueFull) { // or the rejected make all the calls
		for range 50 {
			runtime.Gosched()
		}
	}
}

// 40,000 calls with cancels, panics, errors, unset slots and a Close in the
// middle: each has one outcome, and the books balance.
func TestStressAccounting(t *testing.T) {
	const calls, callers = 40_000, 300
	b := newBatcher(t, chaos, batching.Config[stressItem]{Instances: 3, MaxQueue: 240})
	var (
		c        tally
		started  atomic.Int64
		closed   = make(chan error, 1)
		finished = make(chan struct{})
		working  sync.WaitGroup
		watching sync.WaitGroup
	)
	watching.Go(func() { // the equations hold at every moment, and nothing falls
		var last batching.Stats
		for {
			s := b.Stats()
			checkSums(t, s)
			if s.Submitted < last.Submitted || s.Items < last.Items || s.Answered < last.Answered || s.Failed < last.Failed {
				t.Errorf("a counter fell: %+v, then %+v", last, s)
			}
			last = s
			select {
			case <-finished:
				return
			default:
				runtime.Gosched()
			}
		}
	})
	for range callers {
		working.Go(func() {
			for {
				n := started.Add(1)
				if n > calls {
					return
				}
				if n == calls/2 {
					go func() { closed <- b.Close(context.Background()) }()
				}
				stressCall(t, b, int(n), &c)
			}
		})
	}
	working.Wait()
	if err := <-closed; err != nil {
		t.Errorf("Close = %v", err)
	}
	close(finished)
	watching.Wait()
	balance(t, b.Stats(), &c, calls)
}

// balance compares the batcher's books with the callers'. A caller cannot tell
// whether its context ended before or after its call began; the sum can.
func balance(t *testing.T, s batching.Stats, c *tally, calls uint64) {
	t.Helper()
	checkSums(t, s)
	if s.Queued != 0 || s.Running != 0 || s.Busy != 0 {
		t.Errorf("something is left: %d queued, %d running, %d busy", s.Queued, s.Running, s.Busy)
	}
	uncounted := calls - s.Submitted - s.RejectedFull - s.RejectedClosed
	for _, book := range []struct {
		what         string
		ours, theirs uint64
	}{
		{"answered", s.Answered, c.answered.Load()},
		{"failed", s.Failed, c.failed.Load()},
		{"queue full", s.RejectedFull, c.full.Load()},
		{"closed", s.RejectedClosed + s.Aborted, c.closed.Load()},
		{"context ended", s.CancelledQueued + s.CancelledRunning + uncounted, c.ctx.Load() + c.dead.Load()},
	} {
		if book.ours != book.theirs {
			t.Errorf("%s: batcher counts %d, callers %d", book.what, book.ours, book.theirs)
		}
	}
	for what, n := range map[string]uint64{
		"Answered": s.Answered, "Failed": s.Failed, "Panics": s.Panics, "RejectedClosed": s.RejectedClosed,
		"CancelledQueued": s.CancelledQueued, "CancelledRunning": s.CancelledRunning, "dead at entry": c.dead.Load(),
	} {
		if n == 0 {
			t.Errorf("the stress never came to: %s", what)
		}
	}
}
