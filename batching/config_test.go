package batching_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ballast-go/ballast/batching"
)

func TestNewNamesEveryMistakeAtOnce(t *testing.T) {
	b, err := batching.New[int, int](nil, batching.Config[int]{
		MaxBatchSize: -1, MaxQueue: -2, Linger: -time.Second, Instances: -3,
	})
	if b != nil || err == nil {
		t.Fatalf("New = %v, %v", b, err)
	}
	want := []string{
		"batching: run is nil",
		"batching: Config.MaxBatchSize: -1 is negative",
		"batching: Config.MaxQueue: -2 is negative",
		"batching: Config.Instances: -3 is negative",
		"batching: Config.Linger: -1s is negative",
	}
	if got := strings.Split(err.Error(), "\n"); !reflect.DeepEqual(got, want) {
		t.Errorf("New: %q, want %q", got, want)
	}
}

func TestDefaults(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		b := newBatcher(t, g.run, batching.Config[int]{})
		calls := startAll(b, make([]int, 1+1024)...)
		start(b, 0).wants(t, batching.ErrQueueFull)
		if s := b.Stats(); s.Busy != 1 || s.Queued != 1024 {
			t.Errorf("Busy %d, Queued %d, want 1, 1024", s.Busy, s.Queued)
		}
		g.open()
		for _, c := range calls {
			c.wants(t, 0)
		}
		if s := b.Stats(); s.Batches != 1+1024/32 {
			t.Errorf("Batches %d, want %d", s.Batches, 1+1024/32)
		}
		closeBatcher(t, b)
	})
}
