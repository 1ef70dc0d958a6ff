package batchbench

import (
	"strings"
	"testing"
	"time"
)

func TestNumber(t *testing.T) {
	for _, test := range []struct {
		v    float64
		want string
	}{
		{0, "0"}, {0.126, "0.126"}, {0.0625, "0.0625"}, {9.996, "10"}, {4.5, "4.5"}, {-3.456, "-3.46"}, {20, "20"}, {20.04, "20"}, {31.27, "31.3"},
		{300, "300"}, {9999, "9999"}, {9999.6, "10k"}, {12345, "12.3k"}, {20000, "20k"}, {456789, "457k"}, {999_400, "999k"}, {999_600, "1M"}, {2345678, "2.35M"},
	} {
		if got := number(test.v); got != test.want {
			t.Errorf("number(%v) = %q, want %q", test.v, got, test.want)
		}
	}
}

// What misses a bound never reads like it.
func TestBeside(t *testing.T) {
	for _, test := range []struct {
		v, bound float64
		want     string
	}{
		{0.946, 0.95, "0.946"}, {0.9499, 0.95, "0.9499"}, {0.95, 0.95, "0.95"}, {1.2999, 1.3, "1.2999"},
		{1.0004, 1, "1.0004"}, {2.5, 1, "2.5"}, {0.0626, 0.0625, "0.0626"}, {0, 2, "0"},
	} {
		if got := beside(test.v, test.bound); got != test.want {
			t.Errorf("beside(%v, %v) = %q, want %q", test.v, test.bound, got, test.want)
		}
	}
}

// fakeRounds has ours at 100 ns of CPU an item in every round, the peer at
// 130, 120 and 180: a ratio of 1.3.
func fakeRounds() *rounds {
	r := &rounds{cells: []cell{cellNoop, cellAlone}, libraries: Libraries(), results: map[string]map[string][]Result{cellNoop.String(): {}}}
	for _, cpu := range []time.Duration{130, 120, 180} {
		r.add(cellNoop, Ours, Result{Ops: 1, Wall: time.Second, CPU: 100, P99: 50 * time.Microsecond, Batch: 32, Allocs: 0.5})
		r.add(cellNoop, "dataloadgen", Result{Ops: 1, Wall: time.Second, CPU: cpu, Batch: 32})
		r.add(cellNoop, mutexCond, Result{Ops: 1, Wall: time.Second, CPU: 90, P99: 100 * time.Microsecond, Batch: 32})
	}
	return r
}

func TestGoals(t *testing.T) {
	var text strings.Builder
	fakeRounds().writeGoals(&text)
	for _, want := range []string{
		"dataloadgen's over ours | ≥ 1.3 | 1.3 (ours 100, dataloadgen 130) | yes |", // the bound itself will do
		"CPU an item, ours over mutex+cond's | ≤ 1 | 1.11 (ours 100, mutex+cond 90) | **no** |",
		"p99, ours over mutex+cond's | ≤ 0.6 | 0.5 (ours 50, mutex+cond 100) | yes |",
		"amortised: 8 callers, 200 µs | ≤ 0.25 | not",
		"amortised: 1,000 callers, no-op | ≤ 0.0625 | 0.5 | **no** |",
		"a batch: 1,000 callers, no-op | ≤ 2 | 16 | **no** |",
		"the greedy channel's | ≥ 1.75 | not measured here | – |",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
	}
}

// Where there is no getrusage, nothing is said of CPU: neither of ours, nor if
// only ours is 0.
func TestGoalsWithoutCPU(t *testing.T) {
	for _, theirs := range []time.Duration{0, 100} {
		r := &rounds{cells: []cell{cellNoop}, libraries: Libraries(), results: map[string]map[string][]Result{cellNoop.String(): {}}}
		for _, name := range names(Libraries()) {
			result := Result{Ops: 1, Wall: 1, CPU: theirs}
			if name == Ours {
				result.CPU = 0
			}
			r.add(cellNoop, name, result)
		}
		var text strings.Builder
		r.writeGoals(&text)
		for line := range strings.Lines(text.String()) {
			if strings.Contains(line, "CPU an item") && !strings.HasSuffix(line, "| not measured here | – |\n") {
				t.Error(line)
			}
		}
		r.writeCells(&text)
		if strings.Contains(text.String(), "NaN") || strings.Contains(text.String(), "Inf") {
			t.Error(text.String())
		}
	}
}

// A round without a figure does not decide.
func TestOnlyFiniteFiguresCount(t *testing.T) {
	r := &rounds{results: map[string]map[string][]Result{cellNoop.String(): {}}}
	for _, cpu := range []time.Duration{0, 30, 10, 20, 0} {
		r.add(cellNoop, Ours, Result{Ops: 1, CPU: cpu})
		r.add(cellNoop, mutexCond, Result{Ops: 1, CPU: 10})
	}
	if v, ok := r.median(cellNoop, Ours, cpuPerItem); v != 20 || !ok {
		t.Error(v, ok)
	}
	if v, _, ok := against(cellNoop, mutexCond, cpuPerItem, under)(r); v != 2 || !ok {
		t.Error(v, ok)
	}
}

// Of several peers the best counts, whichever way is up.
func TestGoalsTakeTheBestPeer(t *testing.T) {
	r := &rounds{results: map[string]map[string][]Result{cellAlone.String(): {}, cellEight.String(): {}}}
	for name, p50 := range map[string]time.Duration{Ours: 100, "bundler": 600, "dataloadgen": 500, "eapache": 900} {
		r.add(cellAlone, name, Result{Ops: 1, P50: p50 * time.Microsecond})
		r.add(cellEight, name, Result{Ops: 1, Wall: p50 * time.Second})
	}
	for _, test := range []struct {
		of   func(*rounds) (float64, string, bool)
		want float64
	}{
		{bestOf(cellAlone, lingering(), p50, over), 5},
		{bestOf(cellEight, lingering(), throughput, under), 5},
	} {
		if got, of, ok := test.of(r); !ok || got < test.want-1e-9 || got > test.want+1e-9 || !strings.Contains(of, "dataloadgen") {
			t.Errorf("got %v (%s), want %v", got, of, test.want)
		}
	}
}

func TestEveryGoalReadsFromAMeasuredCell(t *testing.T) {
	r := &rounds{results: map[string]map[string][]Result{}}
	for _, c := range cells() {
		r.results[c.String()] = map[string][]Result{}
		for _, name := range append([]string{deviceAlone}, names(Libraries())...) {
			r.add(c, name, Result{Ops: 1, Wall: 1, CPU: 1, P50: 1, P99: 1, Batch: 1})
		}
	}
	for _, g := range goals() {
		if _, _, ok := g.measured(r); !ok {
			t.Errorf("%s: no figures", g.name)
		}
	}
}

func TestWriteClosed(t *testing.T) {
	var text strings.Builder
	if err := WriteClosed(&text, 1, 2, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	for _, name := range names(Libraries()) {
		if !strings.Contains(text.String(), "| "+name+" | ") {
			t.Errorf("no line for %s in\n%s", name, text.String())
		}
	}
}

func TestWriteCellsSaysWhatIsMissing(t *testing.T) {
	r := fakeRounds()
	r.cells = []cell{{Backend: Backend{Name: "exotic"}, Devices: 2, Callers: 1, MaxBatch: 1}}
	var text strings.Builder
	r.writeCells(&text)
	if !strings.Contains(text.String(), "2 devices**: not measured, a device that blocks") {
		t.Error(text.String())
	}
}
