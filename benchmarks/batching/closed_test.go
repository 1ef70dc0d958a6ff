package batchbench

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestClosedCounts(t *testing.T) {
	for _, lib := range Libraries() {
		t.Run(lib.Name, func(t *testing.T) {
			r, err := Closed{Library: lib, Backend: Noop, Callers: 16, MaxBatch: 8, MinOps: 500}.Run()
			if err != nil {
				t.Fatal(err)
			}
			// Batches that were under way when the count began are not in it, but
			// their items are.
			most := 8 * (1 + 16.0/500)
			if r.Ops < 500 || r.Wall <= 0 || r.P50 <= 0 || r.P99 < r.P50 || r.Batch < 1 || r.Batch > most || r.Allocs < 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestClosedOnABlockingDevice(t *testing.T) {
	c := Closed{Library: Libraries()[0], Backend: Blocking, Callers: 1, MaxBatch: 32, MinOps: 20}
	if why := c.skip(); why != "" {
		t.Skip(why)
	}
	r, err := c.Run()
	if err != nil {
		t.Fatal(err)
	}
	if r.P50 < batchTime+costTime {
		t.Errorf("p50 %v, but the device takes %v", r.P50, batchTime+costTime)
	}
}

func TestClosedFailsOnWrongAnswers(t *testing.T) {
	broken := errors.New("broken")
	for _, test := range []struct {
		want string
		do   func(context.Context, Item) (uint64, error)
	}{
		{"broken", func(context.Context, Item) (uint64, error) { return 0, broken }},
		{"want", func(_ context.Context, it Item) (uint64, error) { return it.Answer() + 1, nil }},
	} {
		lib := Library{Name: "bad", New: func(Setup) Peer { return Peer{Do: test.do, Close: func() {}} }}
		_, err := Closed{Library: lib, Backend: Noop, Callers: 4, MaxBatch: 8, MinOps: 100}.Run()
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want one with %q", err, test.want)
		}
	}
}

func TestResultOfNothing(t *testing.T) {
	r := (&meter{}).result()
	if r.Batch != 0 || r.Allocs != 0 || r.AllocsPerBatch() != 0 {
		t.Errorf("%+v", r)
	}
}
