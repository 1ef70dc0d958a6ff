package batching_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ballast-go/ballast/batching"
)

func weightOne(string) int { return 1 }

func TestConfigMistakes(t *testing.T) {
	type config = batching.Config[task]
	for _, c := range []struct {
		cfg  config
		want []string // in this order, each with the prefix
	}{
		{config{}, nil},
		{config{MaxBatchSize: 1 << 20, MaxQueue: 1, Priorities: 64, Priority: taskLevel, Instances: 3}, nil},
		{config{Priorities: 1}, nil},
		{config{Priority: taskLevel, Priorities: 1}, nil},
		{config{Tenant: taskTenant, TenantWeight: weightOne, Group: taskGroup, Cost: taskCost, MaxBatchCost: 1}, nil},
		{config{BatchTimeout: 1, OnExhausted: func(error) {}, Linger: 1, TargetLatency: 1, LockOSThread: true}, nil},
		{config{Sizes: []int{1 << 20, 1}}, nil},
		{config{Sizes: []int{8, 4}, MaxBatchSize: 6}, nil},
		{config{Sizes: []int{}}, nil},

		{config{MaxBatchSize: -1}, []string{"MaxBatchSize: -1 is negative"}},
		{config{MaxBatchSize: 1<<20 + 1}, []string{"MaxBatchSize: 1048577 is above 1048576"}},
		{config{MaxQueue: -1}, []string{"MaxQueue: -1 is negative"}},
		{config{Instances: -1}, []string{"Instances: -1 is negative"}},
		{config{Priorities: -1}, []string{"Priorities: -1 is negative"}},
		{config{Priority: taskLevel, Priorities: 65}, []string{"Priorities: 65 is above 64"}},
		{config{Cost: taskCost, MaxBatchCost: -1}, []string{"MaxBatchCost: -1 is negative"}},
		{config{Linger: -1}, []string{"Linger: -1ns is negative"}},
		{config{BatchTimeout: -time.Second}, []string{"BatchTimeout: -1s is negative"}},
		{config{TargetLatency: -time.Minute}, []string{"TargetLatency: -1m0s is negative"}},
		{config{OnExhausted: func(error) {}}, []string{"OnExhausted: needs BatchTimeout"}},
		{config{Priority: taskLevel}, []string{"Priority: needs Priorities"}},
		{config{Priorities: 2}, []string{"Priorities: needs Priority"}},
		{config{TenantWeight: weightOne}, []string{"TenantWeight: needs Tenant"}},
		{config{MaxBatchCost: 1}, []string{"MaxBatchCost: needs Cost"}},
		{config{Sizes: []int{0}}, []string{"Sizes: 0 is not from 1 to 1048576"}},
		{config{Sizes: []int{4, 1<<20 + 1, -4}}, []string{"Sizes: 1048577 is not from 1 to 1048576", "Sizes: -4 is not from 1 to 1048576"}},
		{config{Sizes: []int{4, 2, 4, 4}}, []string{"Sizes: 4 is there twice", "Sizes: 4 is there twice"}},
		{config{Sizes: []int{4, 8, 2}, MaxBatchSize: 9}, []string{"MaxBatchSize: 9 is above the largest of Sizes, 8"}},

		{config{
			MaxBatchSize: -1, MaxQueue: -2, Linger: -3, Instances: -4, BatchTimeout: -5, TargetLatency: -6,
			Priorities: 70, TenantWeight: weightOne, MaxBatchCost: -7, Sizes: []int{8, -8},
		}, []string{
			"MaxBatchSize: -1 is negative", "MaxQueue: -2 is negative", "Instances: -4 is negative",
			"Priorities: 70 is above 64", "MaxBatchCost: -7 is negative", "Linger: -3ns is negative",
			"BatchTimeout: -5ns is negative", "TargetLatency: -6ns is negative", "Priorities: needs Priority",
			"TenantWeight: needs Tenant", "MaxBatchCost: needs Cost", "Sizes: -8 is not from 1 to 1048576",
		}},
	} {
		bubble(t, func(t *testing.T) {
			b, err := batching.New((&floor{}).run, c.cfg)
			if len(c.want) == 0 {
				if err != nil {
					t.Errorf("New(%+v): %v", c.cfg, err)
					return
				}
				closeBatcher(t, b)
				return
			}
			want := "batching: Config." + strings.Join(c.want, "\nbatching: Config.")
			if b != nil || err == nil || err.Error() != want {
				t.Errorf("New = %v, %v\nwant %s", b, err, want)
			}
		})
	}
}

// Sizes are the caller's: neither sorted in place nor looked at again. The
// largest is MaxBatchSize unless that is set.
func TestSizesAreCopied(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sizes := []int{4, 8, 2}
		f := heldFloor(t, batching.Config[task]{Sizes: sizes})
		if !slices.Equal(sizes, []int{4, 8, 2}) {
			t.Errorf("New changed Sizes to %v", sizes)
		}
		clear(sizes)
		for i := range 9 {
			f.put(task{id: i})
		}
		f.release(t)
		f.wantOrder(t, "0 1 2 3 4 5 6 7|8")
		if got, want := f.Stats().Padding, uint64(1+1); got != want {
			t.Errorf("padding %d, want %d", got, want)
		}
	})
}

// Without Priority or Tenant nobody has a better claim: the last is refused.
func TestFullQueueWithoutClaims(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := heldFloor(t, batching.Config[task]{MaxQueue: 1, Priority: taskLevel, Priorities: 1, Group: taskGroup})
		calls := f.putAll(task{level: 5, group: "a"}, task{level: -5, group: "b"})
		if got := state(t, calls...); got != "wf" {
			t.Errorf("got %s, want wf", got)
		}
		f.release(t)
	})
}
