package batching_test

import (
	"context"
	"testing"
	"time"

	"github.com/ballast-go/ballast/batching"
)

// Nobody ever joins: after the first linger the items do not wait any more,
// but for one in some, which finds out whether that is still so.
func TestLingerOnlyWhenSomebodyIsDue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBatcher(t, echo, batching.Config[int]{Linger: linger})
		waited := func(n int) (lingered int) {
			for range n {
				begin := time.Now()
				start(b, 1).wants(t, 1)
				switch d := time.Since(begin); d {
				case linger:
					lingered++
				case 0:
				default:
					t.Errorf("waited %v", d)
				}
				pass(time.Second)
			}
			return lingered
		}
		if waited(1) != 1 {
			t.Error("the first item did not wait for company")
		}
		if n := waited(64); n < 2 || n > 8 {
			t.Errorf("%d of 64 items waited for company that never comes", n)
		}
		// Company comes, half a linger after each: once that is found out, they share.
		before := b.Stats()
		for range 200 {
			one := start(b, 1)
			pass(linger / 2)
			other := start(b, 2)
			one.wants(t, 1)
			other.wants(t, 2)
			pass(time.Second)
		}
		s := b.Stats()
		if n := s.Batches - before.Batches; n > 300 {
			t.Errorf("%d batches for 200 pairs", n)
		}
		if s.Seals.Linger == 0 || s.Seals.Idle == 0 || s.Seals.Linger+s.Seals.Idle != s.Batches {
			t.Errorf("seals %+v of %d batches", s.Seals, s.Batches)
		}
		closeBatcher(t, b)
	})
}

func TestSeals(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  batching.Config[int]
		f    func(t *testing.T, b *batching.Batcher[int, int])
		want batching.Seals
	}{
		{"idle", batching.Config[int]{}, func(t *testing.T, b *batching.Batcher[int, int]) {
			start(b, 1).wants(t, 1)
		}, batching.Seals{Idle: 1}},
		{"full", batching.Config[int]{MaxBatchSize: 2, Linger: linger}, func(t *testing.T, b *batching.Batcher[int, int]) {
			for _, c := range startAll(b, 1, 2) {
				<-c.done
			}
		}, batching.Seals{Full: 1}},
		{"cost", batching.Config[int]{Linger: linger, Cost: func(v int) int { return v }, MaxBatchCost: 10}, func(t *testing.T, b *batching.Batcher[int, int]) {
			begin := time.Now()
			start(b, 10).took(t, begin, 0)
		}, batching.Seals{Full: 1}},
		{"linger", batching.Config[int]{Linger: linger}, func(t *testing.T, b *batching.Batcher[int, int]) {
			start(b, 1).wants(t, 1)
		}, batching.Seals{Linger: 1}},
		{"close", batching.Config[int]{Linger: linger}, func(t *testing.T, b *batching.Batcher[int, int]) {
			begin := time.Now()
			c := start(b, 1)
			closeBatcher(t, b)
			c.took(t, begin, 0)
		}, batching.Seals{Close: 1}},
		{"deadline", batching.Config[int]{Linger: linger}, func(t *testing.T, b *batching.Batcher[int, int]) {
			ctx, cancel := context.WithTimeout(t.Context(), linger/2)
			defer cancel()
			startWith(ctx, b, 1)
			pass(linger)
		}, batching.Seals{Deadline: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newBatcher(t, echo, tt.cfg)
				tt.f(t, b)
				closeBatcher(t, b)
				if s := b.Stats(); s.Seals != tt.want || s.Batches != 1 {
					t.Errorf("%+v of %d batches, want %+v", s.Seals, s.Batches, tt.want)
				}
			})
		})
	}
}

// A deadline ends lingering while there is time to run: the answer is in time.
func TestLingerLeavesTimeToRun(t *testing.T) {
	for name, cfg := range map[string]batching.Config[int]{
		"":                    {},
		"with TargetLatency":  {TargetLatency: time.Second},
		"from TargetLatency":  {TargetLatency: 25 * time.Millisecond},
		"with two instances":  {Instances: 2},
		"with some priority":  {Priorities: 2, Priority: func(int) int { return 1 }},
		"with a cost a batch": {Cost: func(int) int { return 1 }, MaxBatchCost: 30},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var d device
				cfg.Linger = 50 * time.Millisecond
				b := newBatcher(t, d.run, cfg)
				for range 8 { // pairs, so that lingering pays
					for _, c := range startAll(b, 1, 1) {
						c.wants(t, 2)
					}
				}
				const deadline = 30 * time.Millisecond
				for range 20 {
					begin := time.Now()
					ctx, cancel := context.WithTimeout(t.Context(), deadline)
					c := startWith(ctx, b, 1)
					if got := <-c.done; got.err != nil || got.at.Sub(begin) > deadline {
						t.Errorf("Do = %v after %v", got.err, got.at.Sub(begin))
					}
					cancel()
				}
				if s := b.Stats(); s.Seals.Deadline == 0 {
					t.Errorf("nothing lingered up to its deadline: %+v", s.Seals)
				}
				closeBatcher(t, b)
			})
		})
	}
}
