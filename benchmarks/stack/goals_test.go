package stackbench

import (
	"strings"
	"testing"
	"time"
)

// samples are of one operation each that took so many nanoseconds.
func samples(nanos ...int) []Sample {
	var all []Sample
	for _, n := range nanos {
		all = append(all, Sample{Ops: 1, CPU: time.Duration(n), Wall: time.Duration(2 * n), Allocs: 1})
	}
	return all
}

func TestBeyond(t *testing.T) {
	r := report{tables: map[string]*Results{tableLogs: {Table{Name: tableLogs}, map[string][]Sample{without: samples(10, 20, 30), Ours: samples(13, 24, 35)}}}}
	v, of, ok := beyond(tableLogs, Ours, without, cpu)(r)
	if !ok || v != 4 || of != "24 with it, 20 without" { // the median of 3, 4 and 5
		t.Errorf("%v, %q, %v", v, of, ok)
	}
}

// Where the system does not tell CPU time, goals about it are not met by 0.
func TestUnknownCPUTime(t *testing.T) {
	r := report{tables: map[string]*Results{}}
	for _, table := range allTables() {
		r.tables[table.Name] = &Results{Samples: map[string][]Sample{Ours: samples(0, 0), bare: samples(0, 0), without: samples(0, 0)}}
	}
	for _, g := range goals() {
		if v, _, ok := g.measured(r); ok && !strings.Contains(g.name, "allocations") {
			t.Errorf("%s: %v", g.name, v)
		}
	}
}

func TestNothingIsMadeUp(t *testing.T) {
	var out strings.Builder
	report{}.writeGoals(&out, goals())
	if got, want := strings.Count(out.String(), "| not measured here | – |"), len(goals()); got != want {
		t.Errorf("%d goals are not measured, want %d:\n%s", got, want, out.String())
	}
}

func TestGoalsAreJudged(t *testing.T) {
	is := func(v float64) func(report) (float64, string, bool) {
		return func(report) (float64, string, bool) { return v, "", true }
	}
	var out strings.Builder
	report{}.writeGoals(&out, []goal{{"a", 10, " ns", is(10)}, {"b", 10, "", is(10.001)}})
	for _, want := range []string{"| a | ≤ 10 ns | 10 ns | yes |", "| b | ≤ 10 | 10.001 | **no** |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestWholeAllocs(t *testing.T) {
	for allocs, want := range map[uint64]float64{0: 0, 20: 0, 998: 0, 999: 1, 1000: 1, 1998: 1, 1999: 2, 2000: 2} {
		if got := wholeAllocs(Sample{Ops: 1000, Allocs: allocs}); got != want {
			t.Errorf("%d in 1000 operations are %v each, want %v", allocs, got, want)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 1.5: "1.5", 12.345: "12.3", 1234: "1234", 99_999: "100k", 999_900: "1M", 0.05: "0.05"} {
		if got := number(v); got != want {
			t.Errorf("%v is %s, want %s", v, got, want)
		}
	}
}
