package batching_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ballast-go/ballast/batching"
)

type nameKey struct{}

func withName(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, nameKey{}, name)
}

// told is what a hook was told of one batch.
type told struct {
	batching.BatchInfo
	names []string
	waits []time.Duration
	err   error
	after int
}

// listener is a hook that keeps what it is told.
type listener struct {
	mu      sync.Mutex
	batches []*told
}

func (l *listener) hear(ctx context.Context, b batching.BatchInfo) (context.Context, func(error)) {
	heard := &told{BatchInfo: b}
	for ctx, since := range b.Members {
		name, _ := ctx.Value(nameKey{}).(string)
		heard.names = append(heard.names, name)
		heard.waits = append(heard.waits, b.Sealed.Sub(since))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.batches = append(l.batches, heard)
	return withName(ctx, "the batch"), func(err error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		heard.err = err
		heard.after++
	}
}

func TestOnBatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := new(listener)
		var seen string
		b := newBatcher(t, func(ctx context.Context, in []int, out []batching.Slot[int]) error {
			seen, _ = ctx.Value(nameKey{}).(string)
			pass(time.Second)
			return echo(ctx, in, out)
		}, batching.Config[int]{
			Name: "numbers", Sizes: []int{1, 4}, OnBatch: l.hear,
			Group: func(v int) string { return "g" },
			Cost:  func(v int) int { return v },
		})
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = b.Do(withName(t.Context(), "first"), 1) })
		pass(time.Millisecond)
		wg.Go(func() { _, _ = b.Do(withName(t.Context(), "second"), 2) })
		pass(time.Millisecond)
		wg.Go(func() { _, _ = b.DoMany(withName(t.Context(), "many"), []int{3, 4}) })
		wg.Wait()
		closeBatcher(t, b)

		if len(l.batches) != 2 || seen != "the batch" {
			t.Fatalf("%d batches, with %q", len(l.batches), seen)
		}
		first, second := l.batches[0], l.batches[1]
		if !slices.Equal(first.names, []string{"first"}) || first.waits[0] != 0 || first.Size != 1 || first.Padded != 1 || first.Cost != 1 {
			t.Errorf("%+v", first)
		}
		if !slices.Equal(second.names, []string{"second", "many", "many"}) || second.Size != 3 || second.Padded != 4 || second.Cost != 9 ||
			second.Batcher != "numbers" || second.Group != "g" || second.Instance != 0 {
			t.Errorf("%+v", second)
		}
		if want := []time.Duration{999 * time.Millisecond, 998 * time.Millisecond, 998 * time.Millisecond}; !slices.Equal(second.waits, want) {
			t.Errorf("waits of %v, want %v", second.waits, want)
		}
		for _, heard := range l.batches {
			if heard.after != 1 || heard.err != nil {
				t.Errorf("%d, %v", heard.after, heard.err)
			}
		}
	})
}

// However run ends, the hook is told once, and every item has its outcome.
func TestOnBatchOutcomes(t *testing.T) {
	boom := errors.New("boom")
	for name, tt := range map[string]struct {
		run  func(context.Context, []int, []batching.Slot[int]) error
		want func(error) bool
	}{
		"error":  {func(context.Context, []int, []batching.Slot[int]) error { return boom }, func(err error) bool { return err == boom }},
		"panic":  {func(context.Context, []int, []batching.Slot[int]) error { panic(boom) }, isPanic},
		"goexit": {func(context.Context, []int, []batching.Slot[int]) error { runtime.Goexit(); return nil }, isNoResult},
	} {
		l := new(listener)
		b := newBatcher(t, tt.run, batching.Config[int]{OnBatch: l.hear})
		for range 2 {
			if _, err := b.Do(t.Context(), 1); !tt.want(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
		closeBatcher(t, b)
		if len(l.batches) != 2 {
			t.Fatalf("%s: %d batches", name, len(l.batches))
		}
		for _, heard := range l.batches {
			if heard.after != 1 || !tt.want(heard.err) {
				t.Errorf("%s: %d, %v", name, heard.after, heard.err)
			}
		}
	}
}

func isPanic(err error) bool {
	_, ok := errors.AsType[*batching.PanicError](err)
	return ok
}

func isNoResult(err error) bool { return errors.Is(err, batching.ErrNoResult) }

// A hook that breaks costs nobody an answer.
func TestOnBatchPanics(t *testing.T) {
	for name, tt := range map[string]struct {
		hook   func(context.Context, batching.BatchInfo) (context.Context, func(error))
		panics uint64
	}{
		"before": {func(context.Context, batching.BatchInfo) (context.Context, func(error)) { panic("boom") }, 3},
		"after": {func(ctx context.Context, _ batching.BatchInfo) (context.Context, func(error)) {
			return ctx, func(error) { panic("boom") }
		}, 3},
		"in its loop": {func(ctx context.Context, b batching.BatchInfo) (context.Context, func(error)) {
			for range b.Members {
				panic("boom")
			}
			return ctx, nil
		}, 3},
		"nothing": {func(context.Context, batching.BatchInfo) (context.Context, func(error)) { return nil, nil }, 0},
	} {
		b := newBatcher(t, echo, batching.Config[int]{OnBatch: tt.hook})
		for i := range 3 {
			if v, err := b.Do(t.Context(), i); v != i || err != nil {
				t.Errorf("%s: %v, %v", name, v, err)
			}
		}
		closeBatcher(t, b)
		if s := b.Stats(); s.HookPanics != tt.panics || s.Panics != 0 || s.Answered != 3 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// Goexit in a hook is one in run.
func TestOnBatchGoexit(t *testing.T) {
	b := newBatcher(t, echo, batching.Config[int]{OnBatch: func(context.Context, batching.BatchInfo) (context.Context, func(error)) {
		runtime.Goexit()
		return nil, nil
	}})
	for range 2 {
		if _, err := b.Do(t.Context(), 1); !errors.Is(err, batching.ErrNoResult) {
			t.Error(err)
		}
	}
	closeBatcher(t, b)
}

// A hung run is told of when it returns, long after its callers were answered.
func TestOnBatchTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := new(listener)
		b := newBatcher(t, func(context.Context, []int, []batching.Slot[int]) error {
			pass(time.Minute)
			return nil
		}, batching.Config[int]{OnBatch: l.hear, BatchTimeout: time.Second})
		if _, err := b.Do(t.Context(), 1); !errors.Is(err, batching.ErrBatchTimeout) {
			t.Error(err)
		}
		closeBatcher(t, b)
		if len(l.batches) != 1 || l.batches[0].after != 1 || l.batches[0].err != nil {
			t.Errorf("%+v", l.batches)
		}
	})
}

// A context that the hook makes is the batch's: a call from inside run is refused.
func TestOnBatchReentrant(t *testing.T) {
	l := new(listener)
	var b *batching.Batcher[int, int]
	var inner error
	b = newBatcher(t, func(ctx context.Context, in []int, out []batching.Slot[int]) error {
		_, inner = b.Do(ctx, 1)
		return echo(ctx, in, out)
	}, batching.Config[int]{OnBatch: l.hear})
	if _, err := b.Do(t.Context(), 1); err != nil || !errors.Is(inner, batching.ErrReentrant) {
		t.Error(err, inner)
	}
	closeBatcher(t, b)
}

// What a call brought along goes with it, even if run keeps its slots.
func TestOnBatchKeepsNoContexts(t *testing.T) {
	var kept [][]batching.Slot[int]
	b := newBatcher(t, func(ctx context.Context, in []int, out []batching.Slot[int]) error {
		kept = append(kept, out)
		return echo(ctx, in, out)
	}, batching.Config[int]{OnBatch: func(ctx context.Context, _ batching.BatchInfo) (context.Context, func(error)) {
		return ctx, nil
	}})
	before := heap()
	for range 100 {
		_, _ = b.Do(context.WithValue(t.Context(), nameKey{}, make([]byte, 1<<20)), 1)
	}
	if grown := heap() - before; grown > 2<<20 { // of 100 MB
		t.Errorf("the heap grew by %d bytes", grown)
	}
	closeBatcher(t, b)
	runtime.KeepAlive(kept)
}
