package stackbench

import (
	"errors"
	"io"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestMeasureCounts(t *testing.T) {
	var calls [2]atomic.Int64
	var sinks [2]*int
	s, err := measure(func(worker, n int) error {
		for range n {
			sinks[worker] = new(int)
		}
		calls[worker].Add(int64(n))
		return nil
	}, 2, 100, 5*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	const warm = 2 * 100
	if got := calls[0].Load() + calls[1].Load() - warm; int64(s.Ops) != got || s.Ops == 0 {
		t.Errorf("%d operations, want %d", s.Ops, got)
	}
	if s.Wall < 5*time.Millisecond || s.CPU < 0 {
		t.Errorf("wall %v, CPU %v", s.Wall, s.CPU)
	}
	if got := s.AllocsPerOp(); got < 1 || got > 1.2 {
		t.Errorf("%v allocations an operation, want 1", got)
	}
}

func TestMeasureFails(t *testing.T) {
	n := 0
	_, err := measure(func(int, int) error {
		if n++; n > 2 {
			return io.ErrUnexpectedEOF
		}
		return nil
	}, 1, 1, time.Hour)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v: a wrong answer must end the measurement", err)
	}
}

// opens returns a contender that notes each turn it takes.
func opens(name string, log *[]string) Contender {
	return Contender{Name: name, Open: func() (Op, func(), error) {
		*log = append(*log, name)
		return func(int, int) error { return nil }, func() { *log = append(*log, "closed") }, nil
	}}
}

func TestRunTakesTurns(t *testing.T) {
	var log []string
	some := []Contender{opens("a", &log), opens("b", &log)}
	results, err := Run([]Table{
		{Name: "one", Workers: 1, Batch: 1, Contenders: some},
		{Name: "few", Workers: 1, Batch: 1, Rounds: 1, Contenders: some[:1]},
	}, 2, time.Microsecond)
	if err != nil {
		t.Fatal(err)
	}
	const want = "a closed b closed a closed b closed a closed"
	if got := strings.Join(log, " "); got != want {
		t.Errorf("turns %s, want %s", got, want)
	}
	for i, want := range []int{2, 1} {
		if got := len(results[i].Samples["a"]); got != want {
			t.Errorf("%s: %d samples, want %d", results[i].Table.Name, got, want)
		}
	}
}

func TestRunNamesWhoFailed(t *testing.T) {
	bad := Contender{Name: "b", Open: func() (Op, func(), error) { return nil, nil, io.ErrUnexpectedEOF }}
	_, err := Run([]Table{{Name: "t", Workers: 1, Batch: 1, Contenders: []Contender{bad}}}, 1, time.Microsecond)
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.HasPrefix(err.Error(), "t: b: ") {
		t.Errorf("error %v", err)
	}
}

func TestMedian(t *testing.T) {
	none := math.NaN()
	for _, test := range []struct {
		values []float64
		want   float64
		ok     bool
	}{
		{nil, 0, false}, {[]float64{none}, 0, false}, {[]float64{3}, 3, true}, {[]float64{9, 1, none, 5}, 5, true},
		{[]float64{4, 1, 9, 2}, 3, true}, {[]float64{math.Inf(1), 7}, 7, true},
	} {
		if got, ok := median(test.values); got != test.want || ok != test.ok {
			t.Errorf("median of %v is %v, %v, want %v, %v", test.values, got, ok, test.want, test.ok)
		}
	}
}
