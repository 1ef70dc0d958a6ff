package batchbench

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestWhatBatchesTake(t *testing.T) {
	linear := newAccelerator(kind{}, 1)
	if got := linear.takes(50); got != 300*time.Microsecond {
		t.Errorf("linear: %v", got)
	}
	linear.straggle.Store(true)
	if first, second := linear.takes(50), linear.takes(50); first != 15*time.Millisecond || second != 300*time.Microsecond {
		t.Errorf("straggler: %v, then %v", first, second)
	}
	stepped := newAccelerator(kind{stepped: true}, 1)
	full := batchTime + step*costTime
	lowest, highest := time.Hour, time.Duration(0)
	for cost := 1; cost <= step; cost++ {
		d := stepped.takes(cost)
		lowest, highest = min(lowest, d), max(highest, d)
	}
	if lowest < full*9/10 || highest > full*11/10 || highest-lowest < full/10 {
		t.Errorf("stepped: %v to %v, want 10%% about %v", lowest, highest, full)
	}
}

func skipWithoutBlocking(t *testing.T) {
	if !canBlock {
		t.Skip("a device that blocks its thread needs Linux")
	}
}

func TestOpenAccountsForEveryItem(t *testing.T) {
	skipWithoutBlocking(t)
	for _, lib := range openLibraries() {
		for _, k := range kinds() {
			r, err := open{library: lib, kind: k, batch: openBatch, rate: 30000, deadline: 5 * time.Millisecond, length: 20 * time.Millisecond}.run()
			if err != nil {
				t.Fatal(err)
			}
			if r.arrived == 0 || r.inTime+r.late+r.failed != r.arrived || r.goodput < 0 || r.lag < 0 {
				t.Errorf("%s: %+v", lib.Name, r)
			}
		}
	}
}

func TestOpenResult(t *testing.T) {
	ms := int64(time.Millisecond)
	r := &openRun{
		open:     open{deadline: 10 * time.Millisecond, warm: 100 * time.Millisecond, length: 2 * time.Second},
		schedule: []arrival{{at: 50e6}, {at: 100e6}, {at: 200e6}, {at: 300e6}, {at: 400e6}},
		took:     []int64{ms, ms, 10 * ms, 10*ms + 1, failure},
		lags:     []int64{9 * ms, 1, 2, 3, 4},
	}
	want := openResult{arrived: 4, inTime: 2, late: 1, failed: 1, goodput: 1, p99: 10 * time.Millisecond, lag: 4}
	if got := r.result(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestWriteOpen(t *testing.T) {
	skipWithoutBlocking(t)
	var out strings.Builder
	chart, err := WriteOpen(&out, []float64{0.5}, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| straggler, bursts of 10× | ≥ 0.95 |", "**linear, Poisson**", "| greedy-channel |", "| " + mutexCondSame + " |", "ballast has 3 rounds", "eapache and dataloader"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	wellFormed(t, string(chart))
	for _, length := range []time.Duration{0, -1} {
		if _, err := WriteOpen(io.Discard, Loads, length); err == nil {
			t.Errorf("no error for %v", length)
		}
	}
}

func TestKept(t *testing.T) {
	tr := &traffic{results: map[string][][]openResult{
		"a": {
			{{goodput: 50}, {goodput: 100}, {goodput: 95}},
			{{goodput: 40}, {goodput: 200}, {goodput: 20}},
			{{goodput: 60}, {goodput: 80}, {goodput: 80}},
		},
		"b": {{{}}},
	}}
	if a, b := tr.kept("a"), tr.kept("b"); a != 0.95 || b != 0 {
		t.Error(a, b)
	}
	for load, want := range []float64{50, 100, 80} {
		if got := tr.at("a", load).goodput; got != want {
			t.Errorf("load %d: %v, want the median %v", load, got, want)
		}
	}
}

func TestChart(t *testing.T) {
	libs := []string{Ours, "a<b&c"}
	var all []*traffic
	for range 4 {
		all = append(all, &traffic{kind: kind{name: `"<&>"`}, capacity: 100, results: map[string][][]openResult{
			Ours:    {{{goodput: 50}, {goodput: 500}}},
			"a<b&c": {{{goodput: 50}, {goodput: 0}}},
		}})
	}
	var chart strings.Builder
	writeChart(&chart, all, libs, []float64{0.5, 2})
	elements := wellFormed(t, chart.String())
	if elements["svg"] != 1 || elements["polyline"] != len(all)*len(libs) {
		t.Errorf("elements: %v", elements)
	}
	// A half and 0 of capacity, at a quarter and the end of the axis; what is
	// above the panel stops at its edge.
	for _, points := range []string{`points="75.0,114.0 300.0,190.0"`, `points="75.0,114.0 300.0,0.0"`} {
		if !strings.Contains(chart.String(), points) {
			t.Errorf("no %s", points)
		}
	}
}

// wellFormed reads the whole document and counts its elements.
func wellFormed(t *testing.T, document string) map[string]int {
	t.Helper()
	elements := map[string]int{}
	d := xml.NewDecoder(strings.NewReader(document))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return elements
		}
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok {
			elements[start.Name.Local]++
		}
	}
}
