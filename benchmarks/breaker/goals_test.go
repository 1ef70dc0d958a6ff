package breakbench

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

func TestOver(t *testing.T) {
	r := report{tables: map[string]*Results{tableDo: {Table{Name: tableDo}, map[string][]Sample{
		Ours: samples(10, 20, 10), standalone: samples(15, 30, 150),
	}}}}
	v, of, ok := over(tableDo, standalone, Ours)(r)
	if !ok || v != 1.5 || of != "ours 10, failsafe standalone 30" { // the median of 15/10, 30/20 and 150/10
		t.Errorf("%v, %q, %v, want 1.5", v, of, ok)
	}
}

// Where the system does not tell CPU time, goals about it are not met by 0.
func TestUnknownCPUTime(t *testing.T) {
	r := report{tables: map[string]*Results{tableDo: {Samples: map[string][]Sample{Ours: samples(0), standalone: samples(0)}}}}
	if v, _, ok := of(tableDo, Ours, cpu)(r); ok {
		t.Errorf("%v ns", v)
	}
	if v, _, ok := over(tableDo, standalone, Ours)(r); ok {
		t.Errorf("ratio %v", v)
	}
}

func TestGoalsGoByTheWorst(t *testing.T) {
	r := report{outcomes: outcomes{cold: {Ours: {{again: 0}, {again: 2}, {again: 1}}}}}
	v, _, ok := worst(cold, func(o outcome) float64 { return float64(o.again) })(r)
	if !ok || v != 2 {
		t.Errorf("%v, %v, want 2", v, ok)
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
	report{}.writeGoals(&out, []goal{
		{name: "a", bound: 10, atMost: true, unit: " ns", measured: is(10)},
		{name: "b", bound: 10, atMost: true, measured: is(10.001)},
		{name: "c", bound: 1.4, measured: is(1.3999)},
		{name: "d", bound: 1, atMost: true, unit: " s", measured: is(never.Seconds())},
	})
	for _, want := range []string{
		"| a | ≤ 10 ns | 10 ns | yes |", "| b | ≤ 10 | 10.001 | **no** |", "| c | ≥ 1.4 | 1.3999 | **no** |", "| d | ≤ 1 s | never | **no** |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestWholeAllocs(t *testing.T) {
	for allocs, want := range map[uint64]float64{0: 0, 20: 0, 998: 0, 999: 1, 1000: 1, 1998: 1, 1999: 2} {
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
