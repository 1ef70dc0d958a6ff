package batching_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/batching"
)

// manyCall is a DoMany that goes on in the background.
type manyCall struct {
	cancel context.CancelFunc
	done   chan struct{}
	out    []int
	errs   []error
	at     time.Time
}

func startMany(b *batching.Batcher[int, int], in ...int) *manyCall {
	ctx, cancel := context.WithCancel(context.Background())
	m := &manyCall{cancel: cancel, done: make(chan struct{})}
	go func() {
		m.out, m.errs = b.DoMany(ctx, in)
		m.at = time.Now()
		close(m.done)
	}()
	synctest.Wait()
	return m
}

// wants checks each item's outcome: an int is an answer, an error an error.
func (m *manyCall) wants(t *testing.T, want ...any) {
	t.Helper()
	<-m.done
	m.cancel()
	if len(m.out) != len(want) || m.errs != nil && len(m.errs) != len(want) {
		t.Fatalf("DoMany = %v, %v, want %d of each", m.out, m.errs, len(want))
	}
	failed := false
	for i, want := range want {
		var got any = m.out[i]
		if m.errs != nil && m.errs[i] != nil {
			got = m.errs[i]
			if m.out[i] != 0 {
				t.Errorf("item %d has both: %d, %v", i, m.out[i], m.errs[i])
			}
		}
		wantErr, isErr := want.(error)
		failed = failed || isErr
		if gotErr, ok := got.(error); ok && isErr && errors.Is(gotErr, wantErr) {
			continue
		}
		if got != want {
			t.Errorf("item %d: %v, want %v", i, got, want)
		}
	}
	if !failed && m.errs != nil {
		t.Errorf("errs = %v, want nil", m.errs)
	}
}

// selective is a backend that fails what is divisible by 10, leaves what is
// divisible by 7 unset, and doubles the rest.
func selective(_ context.Context, in []int, out []batching.Slot[int]) error {
	for i, v := range in {
		switch {
		case v%10 == 0:
			out[i].Fail(errItem)
		case v%7 != 0:
			out[i].Set(2 * v)
		}
	}
	return nil
}

func TestDoMany(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBatcher(t, selective, batching.Config[int]{
			MaxBatchSize: 4, Cost: func(v int) int { return v }, MaxBatchCost: 100,
		})
		startMany(b).wants(t)
		startMany(b, 1).wants(t, 2)
		startMany(b, 3, 1, 2, 9, 8, 4, 5, 6, 3).wants(t, 6, 2, 4, 18, 16, 8, 10, 12, 6)
		startMany(b, 1, 10, 7, 101, 2, 200).
			wants(t, 2, errItem, batching.ErrNoResult, batching.ErrTooLarge, 4, batching.ErrTooLarge)
		startMany(b, 101).wants(t, batching.ErrTooLarge)
		closeBatcher(t, b)
		startMany(b, 1, 101).wants(t, batching.ErrClosed, batching.ErrTooLarge)
		s := b.Stats()
		checkSums(t, s)
		if s.Submitted != 14 || s.Answered != 12 || s.Failed != 2 || s.RejectedClosed != 1 {
			t.Errorf("stats %+v", s)
		}
	})
}

// The same items have the same outcomes from DoMany and from as many Dos.
func TestDoManyIsAsManyDos(t *testing.T) {
	bubble(t, func(t *testing.T) {
		many := newBatcher(t, selective, batching.Config[int]{MaxBatchSize: 8})
		single := newBatcher(t, selective, batching.Config[int]{MaxBatchSize: 8})
		var in []int
		for i := range 500 {
			in = append(in, i)
		}
		out, errs := many.DoMany(t.Context(), in)
		for i, v := range in {
			want, wantErr := single.Do(t.Context(), v)
			if out[i] != want || !errors.Is(errs[i], wantErr) {
				t.Errorf("item %d: DoMany %d, %v, Do %d, %v", v, out[i], errs[i], want, wantErr)
			}
		}
		closeBatcher(t, many)
		closeBatcher(t, single)
		m, s := many.Stats(), single.Stats()
		if m.Answered != s.Answered || m.Failed != s.Failed || m.Submitted != s.Submitted {
			t.Errorf("DoMany counts %d, %d, %d, Do %d, %d, %d", m.Answered, m.Failed, m.Submitted, s.Answered, s.Failed, s.Submitted)
		}
	})
}

func TestDoManySharesBatches(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		b := newBatcher(t, g.run, batching.Config[int]{MaxBatchSize: 4})
		one := startMany(b, 1, 2, 3, 4, 5, 6)
		other := start(b, 7)
		two := startMany(b, 8, 9)
		g.open()
		one.wants(t, 2, 4, 6, 8, 10, 12)
		other.wants(t, 14)
		two.wants(t, 16, 18)
		want := [][]int{{1, 2, 3, 4}, {5, 6, 7, 8}, {9}}
		if got := g.seen(); !reflect.DeepEqual(got, want) {
			t.Errorf("batches %v, want %v", got, want)
		}
		closeBatcher(t, b)
	})
}

// All or none: what is answered as a whole should not be computed in part.
func TestDoManyFullQueue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		b := newBatcher(t, g.run, batching.Config[int]{MaxQueue: 4})
		busy := start(b, 0)
		one := start(b, 1)
		full := batching.ErrQueueFull
		startMany(b, 2, 3, 4, 5).wants(t, full, full, full, full)
		m := startMany(b, 6, 7, 8)
		g.open()
		busy.wants(t, 0)
		one.wants(t, 2)
		m.wants(t, 12, 14, 16)
		if s := b.Stats(); s.RejectedFull != 4 || s.Submitted != 5 {
			t.Errorf("RejectedFull %d, Submitted %d", s.RejectedFull, s.Submitted)
		}
		closeBatcher(t, b)
	})
}

// A cancel leaves those that have an answer their answer, takes those that run
// out of run, and those that wait out of the queue.
func TestDoManyCanceledInTheMiddle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hold := make(chan struct{})
		var gone []bool
		b := newBatcher(t, func(_ context.Context, in []int, out []batching.Slot[int]) error {
			out[0].Set(2 * in[0])
			<-hold
			for i := range out {
				gone = append(gone, out[i].Gone())
				out[i].Set(2 * in[i])
			}
			return nil
		}, batching.Config[int]{MaxBatchSize: 3})
		m := startMany(b, 1, 2, 3, 4, 5)
		other := start(b, 6)
		begin := time.Now()
		m.cancel()
		canceled := context.Canceled
		m.wants(t, 2, canceled, canceled, canceled, canceled)
		if !m.at.Equal(begin) {
			t.Errorf("took %v", m.at.Sub(begin))
		}
		s := b.Stats()
		if s.Answered != 1 || s.CancelledRunning != 2 || s.CancelledQueued != 2 || s.Queued != 1 {
			t.Errorf("stats %+v", s)
		}
		close(hold)
		other.wants(t, 12)
		closeBatcher(t, b)
		if want := []bool{false, true, true, false}; !reflect.DeepEqual(gone, want) {
			t.Errorf("Gone %v, want %v", gone, want)
		}
	})
}

func TestDoManyEntersLikeDo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var b *batching.Batcher[int, int]
		b = newBatcher(t, func(ctx context.Context, in []int, out []batching.Slot[int]) error {
			none, errs := b.DoMany(ctx, []int{1, 2})
			if len(none) != 2 || len(errs) != 2 || errs[0] != batching.ErrReentrant || errs[1] != batching.ErrReentrant {
				t.Errorf("DoMany inside run = %v, %v", none, errs)
			}
			return nil
		}, batching.Config[int]{})
		startMany(b, 5).wants(t, batching.ErrNoResult)
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if none, errs := b.DoMany(over, []int{1, 2}); len(none) != 2 || errs[0] != context.Canceled || errs[1] != context.Canceled {
			t.Errorf("DoMany with a context that is over = %v, %v", none, errs)
		}
		if none, errs := b.DoMany(over, nil); len(none) != 0 || len(errs) != 0 {
			t.Errorf("DoMany of nothing = %v, %v", none, errs)
		}
		if s := b.Stats(); s.Submitted != 1 {
			t.Errorf("Submitted %d", s.Submitted)
		}
		closeBatcher(t, b)
	})
}

// Items time out and are aborted one by one, too.
func TestDoManyPartialFailures(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHanger()
		b := newBatcher(t, h.run, batching.Config[int]{MaxBatchSize: 2, BatchTimeout: timeout})
		m := startMany(b, 1, -1, 2, 3, -2, 4)
		late := batching.ErrBatchTimeout
		m.wants(t, 2, late, 4, 6, late, late)
		m = startMany(b, 5, 6) // no instance is left
		b.Abort()
		m.wants(t, batching.ErrClosed, batching.ErrClosed)
		h.let(-1, func() {})
		h.let(-2, func() {})
		closeBatcher(t, b)
		checkSums(t, b.Stats())
	})
}

// What is answered as a whole is in time as a whole: what counts is its last
// item.
func TestDoManyIsShedAsAWhole(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var d device
		b := newBatcher(t, d.run, batching.Config[int]{TargetLatency: target, MaxBatchSize: deviceBatch})
		teach(t, b)
		shed := func(n int) int {
			m := startMany(b, make([]int, n)...)
			<-m.done
			shed := 0
			for i, err := range m.errs {
				if errors.Is(err, batching.ErrShed) {
					shed++
				} else if err != nil {
					t.Errorf("item %d: %v", i, err)
				}
			}
			return shed
		}
		before := b.Stats()
		if n := shed(100); n != 100 {
			t.Errorf("%d of 100 shed", n)
		}
		if s := b.Stats(); s.Shed != before.Shed+100 || s.Items != before.Items {
			t.Errorf("Shed %d, Items %d, before %d and %d", s.Shed, s.Items, before.Shed, before.Items)
		}
		if n := shed(16); n != 0 {
			t.Errorf("%d of 16 shed", n)
		}
		closeBatcher(t, b)
	})
}

// Many callers of both kinds at the same time, some of whom leave: each gets
// its own answers, in order.
func TestDoManyConcurrentWithDo(t *testing.T) {
	b := newBatcher(t, selective, batching.Config[int]{MaxBatchSize: 16, Instances: 2, MaxQueue: 100_000})
	check := func(what string, v, got int, err error, mayLeave bool) {
		want, wantErr := 2*v, error(nil)
		switch {
		case v%10 == 0:
			want, wantErr = 0, errItem
		case v%7 == 0:
			want, wantErr = 0, batching.ErrNoResult
		}
		if mayLeave && err == context.Canceled && got == 0 {
			return
		}
		if got != want || !errors.Is(err, wantErr) || wantErr == nil && err != nil {
			t.Errorf("%s of %d = %d, %v, want %d, %v", what, v, got, err, want, wantErr)
		}
	}
	var wg sync.WaitGroup
	for caller := range 20 {
		wg.Go(func() {
			for round := range 200 {
				ctx, cancel := context.WithCancel(t.Context())
				leaves := round%3 == 0
				if leaves {
					go cancel()
				}
				base := 1000*caller + round
				if caller%2 == 0 {
					got, err := b.Do(ctx, base)
					check("Do", base, got, err, leaves)
				} else {
					in := make([]int, round%40)
					for i := range in {
						in[i] = base + i
					}
					got, errs := b.DoMany(ctx, in)
					for i, v := range in {
						var err error
						if errs != nil {
							err = errs[i]
						}
						check(fmt.Sprintf("DoMany[%d]", i), v, got[i], err, leaves)
					}
				}
				cancel()
			}
		})
	}
	wg.Wait()
	closeBatcher(t, b)
	checkSums(t, b.Stats())
}

// The backend answers while somebody cancels: each item has one outcome, and
// the last signal is waited for.
func TestDoManyCancelRacingTheAnswers(t *testing.T) {
	type item struct{ cancel context.CancelFunc }
	b := newBatcher(t, func(_ context.Context, in []item, out []batching.Slot[int]) error {
		go in[0].cancel()
		for i := range out {
			out[i].Set(1)
		}
		return nil
	}, batching.Config[item]{Instances: 2, MaxBatchSize: 4})
	var answered, canceled uint64
	for range 3000 {
		ctx, cancel := context.WithCancel(t.Context())
		out, errs := b.DoMany(ctx, []item{{cancel}, {cancel}, {cancel}, {cancel}, {cancel}, {cancel}})
		for i, v := range out {
			switch {
			case v == 1 && (errs == nil || errs[i] == nil):
				answered++
			case v == 0 && errs != nil && errs[i] == context.Canceled:
				canceled++
			default:
				t.Fatalf("DoMany = %v, %v", out, errs)
			}
		}
		cancel()
	}
	closeBatcher(t, b)
	s := b.Stats()
	checkSums(t, s)
	if s.Answered != answered || s.CancelledRunning+s.CancelledQueued != canceled || s.Submitted != 3000*6 {
		t.Errorf("answered %d, canceled %d, stats %+v", answered, canceled, s)
	}
}
