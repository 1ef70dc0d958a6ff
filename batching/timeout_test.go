package batching_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/batching"
)

const timeout = 100 * time.Millisecond

// hanger is a backend that hangs on items below 0, deaf to its context, until
// the test lets that run go; others it doubles at once.
type hanger struct {
	mu   sync.Mutex
	hung map[int]chan func() // by item; what the run does at last
}

func newHanger() *hanger { return &hanger{hung: make(map[int]chan func())} }

func (h *hanger) of(item int) chan func() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.hung[item] == nil {
		h.hung[item] = make(chan func(), 1)
	}
	return h.hung[item]
}

// let ends the run that hangs on item with f.
func (h *hanger) let(item int, f func()) {
	h.of(item) <- f
	synctest.Wait()
}

func (h *hanger) run(_ context.Context, in []int, out []batching.Slot[int]) error {
	for i, v := range in {
		if v < 0 {
			(<-h.of(v))()
		}
		out[i].Set(2 * v)
	}
	return nil
}

// failedAfter checks that the call failed with err d after begin.
func (c *call) failedAfter(t *testing.T, begin time.Time, d time.Duration, err error) {
	t.Helper()
	got := <-c.done
	c.cancel()
	if !errors.Is(got.err, err) || got.at.Sub(begin) != d {
		t.Errorf("Do = %d, %v after %v, want %v after %v", got.out, got.err, got.at.Sub(begin), err, d)
	}
}

// counts are what a test of timeouts watches.
type counts struct {
	timeouts, timedOut, answered, failed uint64
	hung, busy, running                  int
}

func countsOf(t *testing.T, b *batching.Batcher[int, int]) counts {
	t.Helper()
	synctest.Wait()
	s := b.Stats()
	checkSums(t, s)
	return counts{s.Timeouts, s.TimedOut, s.Answered, s.Failed, s.Hung, s.Busy, s.Running}
}

func wantCounts(t *testing.T, b *batching.Batcher[int, int], want counts) {
	t.Helper()
	if got := countsOf(t, b); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}

// The callers of a run that hangs are answered at BatchTimeout, the next batch
// runs at that very moment, and the run may end whichever way it likes.
func TestBatchTimeout(t *testing.T) {
	ends := []struct {
		name   string
		f      func()
		panics uint64
	}{
		{"returns", func() {}, 0},
		{"panics", func() { panic("late") }, 1},
		{"goexit", runtime.Goexit, 0},
	}
	for _, end := range ends {
		for _, lock := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, LockOSThread %t", end.name, lock), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					h := newHanger()
					b := newBatcher(t, h.run, batching.Config[int]{BatchTimeout: timeout, LockOSThread: lock})
					begin := time.Now()
					stuck := start(b, -1)
					calls := startAll(b, 1, 2)
					wantCounts(t, b, counts{busy: 1, running: 1})

					pass(timeout - 1)
					if !stuck.pending() || !calls[0].pending() {
						t.Error("somebody was answered before BatchTimeout")
					}
					stuck.failedAfter(t, begin, timeout, batching.ErrBatchTimeout)
					for _, c := range calls {
						c.took(t, begin, timeout)
					}
					after := counts{timeouts: 1, timedOut: 1, answered: 2, hung: 1}
					wantCounts(t, b, after)

					pass(time.Hour)
					h.let(-1, end.f)
					after.hung = 0
					wantCounts(t, b, after)
					if s := b.Stats(); s.Panics != end.panics {
						t.Errorf("Panics %d, want %d", s.Panics, end.panics)
					}
					start(b, 3).wants(t, 6)
					closeBatcher(t, b)
				})
			})
		}
	}
}

func TestRunWithinBatchTimeoutIsLeftAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBatcher(t, func(ctx context.Context, in []int, out []batching.Slot[int]) error {
			pass(timeout - 1)
			out[0].Set(in[0])
			return ctx.Err()
		}, batching.Config[int]{BatchTimeout: timeout})
		for i := range 20 { // one run's timer must not strike the next run
			start(b, i).wants(t, i)
		}
		wantCounts(t, b, counts{answered: 20})
		closeBatcher(t, b)
	})
}

// A backend that heeds its context returns at the moment of the timeout. It is
// late all the same: its callers must not take its context's end for theirs.
func TestRunThatEndsAtTheTimeoutIsLate(t *testing.T) {
	ends := map[string]func(ctx context.Context) error{
		"with its context's error": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"with an error":            func(context.Context) error { pass(timeout); return errBatch },
		"with nil":                 func(context.Context) error { pass(timeout); return nil },
		"by panic":                 func(context.Context) error { pass(timeout); panic("just then") },
		"by goexit":                func(context.Context) error { pass(timeout); runtime.Goexit(); return nil },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			for range 50 { // whichever goroutine is first
				bubble(t, func(t *testing.T) {
					b := newBatcher(t, func(ctx context.Context, in []int, out []batching.Slot[int]) error {
						if in[0] >= 0 {
							out[0].Set(in[0])
							return nil
						}
						return end(ctx)
					}, batching.Config[int]{BatchTimeout: timeout, OnExhausted: func(err error) { t.Error(err) }})
					for n := range uint64(3) {
						begin := time.Now()
						start(b, -1).failedAfter(t, begin, timeout, batching.ErrBatchTimeout)
						wantCounts(t, b, counts{timeouts: n + 1, timedOut: n + 1, answered: n})
						start(b, 1).wants(t, 1)
					}
					closeBatcher(t, b)
				})
			}
		})
	}
}

// Who has an answer keeps it, who left has left, and only the rest times out.
func TestBatchTimeoutOfAPartlyAnsweredBatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, calls := membersOf(t, batching.Config[int]{BatchTimeout: timeout}, func(_ context.Context, out []batching.Slot[int]) {
			out[0].Set(10)
			out[1].Fail(errItem)
			pass(3 * timeout)
			out[2].Set(30)
			out[3].Set(40)
		}, 4)
		begin := time.Now()
		calls[0].wants(t, 10)
		calls[1].wants(t, errItem)
		calls[2].cancel()
		calls[2].wants(t, context.Canceled)
		calls[3].failedAfter(t, begin, timeout, batching.ErrBatchTimeout)
		synctest.Wait()
		s := b.Stats()
		if s.Answered != 1 || s.Failed != 2 || s.CancelledRunning != 1 || s.TimedOut != 1 || s.Hung != 1 {
			t.Errorf("stats %+v", s)
		}
		checkSums(t, s)
		closeBatcher(t, b) // waits for the late run, whose answers change nothing
		last := b.Stats()
		checkSums(t, last)
		if last.Answered != s.Answered || last.Failed != s.Failed || last.TimedOut != s.TimedOut || last.Hung != 0 {
			t.Errorf("stats %+v", last)
		}
	})
}

// membersOf runs a batch of n, in which work fills in the answers.
func membersOf(t *testing.T, cfg batching.Config[int], work func(ctx context.Context, out []batching.Slot[int]), n int) (*batching.Batcher[int, int], []*call) {
	t.Helper()
	hold := make(chan struct{})
	b := newBatcher(t, func(ctx context.Context, in []int, out []batching.Slot[int]) error {
		if in[0] == 0 {
			<-hold
			return nil
		}
		work(ctx, out)
		return nil
	}, cfg)
	first := start(b, 0)
	var calls []*call
	for i := range n {
		calls = append(calls, start(b, i+1))
	}
	close(hold)
	first.wants(t, batching.ErrNoResult)
	synctest.Wait()
	return b, calls
}

// As many hung runs as there are instances are replaced; each one more takes
// its instance with it and is reported, and each that returns at last brings
// one back.
func TestHungRunsAreReplacedWithinABound(t *testing.T) {
	for _, lock := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			h := newHanger()
			var reports []string
			b := newBatcher(t, h.run, batching.Config[int]{
				Name: "seven", Instances: 2, MaxBatchSize: 1, BatchTimeout: timeout, LockOSThread: lock,
				OnExhausted: func(err error) { reports = append(reports, err.Error()) },
			})
			for i := range 4 {
				begin := time.Now()
				start(b, -1-i).failedAfter(t, begin, timeout, batching.ErrBatchTimeout)
				wantCounts(t, b, counts{timeouts: uint64(i + 1), timedOut: uint64(i + 1), hung: i + 1})
			}
			want := []string{
				`batching: "seven": 3 runs hang and the last of them is not replaced`,
				`batching: "seven": 4 runs hang and the last of them is not replaced`,
			}
			if !reflect.DeepEqual(reports, want) {
				t.Errorf("OnExhausted got %q, want %q", reports, want)
			}

			one, other := start(b, 1), start(b, 2)
			pass(time.Hour)
			if !one.pending() || !other.pending() {
				t.Error("a batch runs though all instances and their replacements hang")
			}
			h.let(-2, func() {}) // one of those that were replaced
			one.wants(t, 2)
			other.wants(t, 4)
			begin := time.Now()
			stuck := start(b, -5) // again no instance is left
			third := start(b, 3)
			stuck.failedAfter(t, begin, timeout, batching.ErrBatchTimeout)
			if !third.pending() || len(reports) != 3 {
				t.Errorf("a batch runs, or OnExhausted was not called again: %q", reports)
			}
			for _, item := range []int{-1, -3, -4, -5} {
				h.let(item, func() {})
			}
			third.wants(t, 6)
			hold := []*call{start(b, -6), start(b, -7)}
			if s := b.Stats(); s.Busy != 2 {
				t.Errorf("Busy %d, want both instances back", s.Busy)
			}
			h.let(-6, func() {})
			h.let(-7, func() {})
			hold[0].wants(t, -12)
			hold[1].wants(t, -14)
			closeBatcher(t, b)
		})
	}
}

func TestCloseNamesHungRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHanger()
		b := newBatcher(t, h.run, batching.Config[int]{BatchTimeout: timeout})
		start(b, -1).wants(t, batching.ErrBatchTimeout)
		start(b, -2).wants(t, batching.ErrBatchTimeout)
		waits := start(b, 1) // nobody is left to run it
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		err := b.Close(ctx)
		want := "batching: close: 2 runs have not returned (instance 0 with 1 items for 300ms, instance 0 with 1 items for 200ms), 1 items wait"
		if err == nil || !strings.HasPrefix(err.Error(), want) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close = %v, want %s", err, want)
		}
		h.let(-2, func() {})
		waits.wants(t, 2) // worked off by the instance that came back
		h.let(-1, func() {})
		closeBatcher(t, b)
	})
}

// Runs that are hung already when the batcher is closed, and such as hang
// after, with a queue and without.
func TestCloseWhileRunsHang(t *testing.T) {
	for _, abort := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			h := newHanger()
			b := newBatcher(t, h.run, batching.Config[int]{Instances: 2, MaxBatchSize: 1, BatchTimeout: timeout})
			begin := time.Now()
			before := []*call{start(b, -1), start(b, -2)}
			calls := startAll(b, -3, 4, 5)
			if abort {
				b.Abort()
			}
			closed := make(chan error)
			go func() { closed <- b.Close(context.Background()) }()
			for _, c := range before {
				c.failedAfter(t, begin, timeout, batching.ErrBatchTimeout)
			}
			if abort {
				for _, c := range calls {
					c.failedAfter(t, begin, 0, batching.ErrClosed)
				}
			} else {
				calls[0].failedAfter(t, begin, 2*timeout, batching.ErrBatchTimeout)
				calls[1].took(t, begin, timeout)
				calls[2].took(t, begin, timeout)
			}
			synctest.Wait()
			select {
			case err := <-closed:
				t.Errorf("Close = %v while runs hang", err)
			default:
			}
			for _, item := range []int{-1, -2, -3} {
				h.of(item) <- func() {}
			}
			if err := <-closed; err != nil {
				t.Errorf("Close = %v", err)
			}
			checkSums(t, b.Stats())
		})
	}
}
