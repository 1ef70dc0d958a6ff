package batching_test

import (
	"context"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/ballast-go/ballast/batching"
)

// wantHistogram checks where n observations went, and their sum.
func wantHistogram(t *testing.T, what string, h batching.Histogram, sum float64, want map[float64]uint64) {
	t.Helper()
	got := map[float64]uint64{}
	if len(h.Counts) != len(h.Bounds)+1 {
		t.Fatalf("%s: %d counts for %d bounds", what, len(h.Counts), len(h.Bounds))
	}
	for i, n := range h.Counts {
		bound := math.Inf(1)
		if i < len(h.Bounds) {
			bound = h.Bounds[i]
			if i > 0 && bound <= h.Bounds[i-1] {
				t.Errorf("%s: bounds %v do not rise", what, h.Bounds)
			}
		}
		if n > 0 {
			got[bound] = n
		}
	}
	if !reflect.DeepEqual(got, want) || math.Abs(h.Sum-sum) > 1e-9 {
		t.Errorf("%s: counts by bound %v, sum %v, want %v, %v", what, got, h.Sum, want, sum)
	}
}

// bucket is the bound of the bucket for so many seconds: the next power of two
// of nanoseconds.
func bucket(d time.Duration) float64 {
	bound := time.Duration(1)
	for bound < d {
		bound *= 2
	}
	return bound.Seconds()
}

func TestHistograms(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var d device
		b := newBatcher(t, d.run, batching.Config[int]{MaxBatchSize: deviceBatch})
		calls := startAll(b, make([]int, 1+10+3)...) // they wait 0, 11 and 31 ms
		for _, c := range calls {
			c.wants(t, 0)
		}
		closeBatcher(t, b)
		s := b.Stats()
		wantHistogram(t, "BatchSize", s.BatchSize, 14, map[float64]uint64{1: 1, 4: 1, 10: 1})
		wantHistogram(t, "QueueWait", s.QueueWait, 10*0.011+3*0.031, map[float64]uint64{
			s.QueueWait.Bounds[0]: 1, bucket(11 * time.Millisecond): 10, bucket(31 * time.Millisecond): 3,
		})
		runs := map[int]time.Duration{1: 11 * time.Millisecond, 4: 13 * time.Millisecond, 10: 20 * time.Millisecond}
		for _, r := range s.RunTime {
			want := map[float64]uint64{}
			if took := runs[r.MaxSize]; took > 0 {
				want[bucket(took)] = 1
			}
			wantHistogram(t, "RunTime", r.Seconds, runs[r.MaxSize].Seconds(), want)
		}
		inst := s.Instances[0]
		if inst.Batches != 3 || inst.BusyTime != 44*time.Millisecond || inst.Busy {
			t.Errorf("instance %+v, want 3 batches in 44 ms", inst)
		}
		if fixed, per := inst.Model.Fixed, inst.Model.PerUnit; (fixed-deviceFixed).Abs() > 300*time.Microsecond || (per-devicePer).Abs() > 30*time.Microsecond {
			t.Errorf("model %+v, want %v and %v", inst.Model, deviceFixed, devicePer)
		}
	})
}

// saturation drives a device for a virtual minute and returns what is said of
// it, along with how busy it was.
func saturation(t *testing.T, cfg batching.Config[int], drive func(b *batching.Batcher[int, int])) (said, busy float64) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		var d device
		cfg.MaxBatchSize = deviceBatch
		cfg.MaxQueue = 1 << 20
		b := newBatcher(t, d.run, cfg)
		begin := time.Now()
		drive(b)
		s := b.Stats()
		said = s.Saturation
		for _, inst := range s.Instances {
			busy += float64(inst.BusyTime) / float64(time.Since(begin)) / float64(len(s.Instances))
		}
		b.Abort()
		closeBatcher(t, b)
	})
	return said, busy
}

func TestSaturation(t *testing.T) {
	const minute = time.Minute
	for _, tt := range []struct {
		name       string
		cfg        batching.Config[int]
		drive      func(b *batching.Batcher[int, int])
		low, high  float64
		busyAtMost float64
	}{
		{"idle", batching.Config[int]{}, func(*batching.Batcher[int, int]) { pass(minute) }, 0, 0, 0},
		{"full batches all the time", batching.Config[int]{}, func(b *batching.Batcher[int, int]) {
			go b.DoMany(context.Background(), make([]int, 60_000))
			pass(minute)
		}, 0.98, 1, 1},
		{"on one of two instances", batching.Config[int]{Instances: 2}, func(b *batching.Batcher[int, int]) {
			for range 60_000 / 20 { // ten come when the one before is done
				go b.DoMany(context.Background(), make([]int, 10))
				pass(20 * time.Millisecond)
			}
		}, 0.45, 0.55, 0.55},
		{"batches of one on a busy device", batching.Config[int]{}, func(b *batching.Batcher[int, int]) {
			// Full ones would compute 10 in 20 ms, these compute one in 11.
			for begin := time.Now(); time.Since(begin) < minute; {
				if _, err := b.Do(context.Background(), 1); err != nil {
					t.Error(err)
				}
				if s := b.Stats(); s.Batches%50 == 1 { // so that the slope is known
					b.DoMany(context.Background(), make([]int, 10))
				}
			}
		}, 0.15, 0.30, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			said, busy := saturation(t, tt.cfg, tt.drive)
			if said < tt.low || said > tt.high || busy > tt.busyAtMost {
				t.Errorf("Saturation %.3f, busy %.3f, want %v to %v, at most %v", said, busy, tt.low, tt.high, tt.busyAtMost)
			}
		})
	}
}

// An instance whose run hangs unreplaced can take nothing: it is saturated, and
// so is one inside a full run without end.
func TestSaturationOfWhatHangs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHanger()
		b := newBatcher(t, h.run, batching.Config[int]{MaxBatchSize: 1, BatchTimeout: timeout})
		start(b, -1).wants(t, batching.ErrBatchTimeout)
		start(b, -2).wants(t, batching.ErrBatchTimeout)
		pass(time.Minute)
		if s := b.Stats(); s.Saturation < 0.98 || s.Saturation > 1 || s.Hung != 2 {
			t.Errorf("Saturation %v with all instances hung", s.Saturation)
		}
		h.let(-1, func() {})
		h.let(-2, func() {})
		pass(time.Minute)
		if s := b.Stats(); s.Saturation > 0.02 {
			t.Errorf("Saturation %v a minute after they came back", s.Saturation)
		}
		closeBatcher(t, b)
	})
}
