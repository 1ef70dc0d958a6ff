package retrybench

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

// measured is a report of the first table.
func measured(samples map[string][]Sample) report {
	t := Table{Name: tableFirst}
	for _, name := range []string{none, Ours, "good", "bad"} {
		t.Contenders = append(t.Contenders, Contender{Name: name})
	}
	return report{tableFirst: {Table: t, Samples: samples}}
}

func TestOf(t *testing.T) {
	r := measured(map[string][]Sample{
		none: samples(1), Ours: samples(10, 4, 7), "good": samples(15, 30, 20), "bad": samples(90, 90, 90),
	})
	v, of, ok := of(tableFirst, Ours, cpu)(r)
	if !ok || v != 7 || of != "good 20" {
		t.Errorf("%v, %q, %v, want 7 and good's 20", v, of, ok)
	}
}

// Where the system does not tell CPU time, goals about it are not met by 0.
func TestUnknownCPUTime(t *testing.T) {
	r := measured(map[string][]Sample{Ours: samples(0, 0), "good": samples(0, 0)})
	if v, _, ok := of(tableFirst, Ours, cpu)(r); ok {
		t.Errorf("%v ns", v)
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
	is := func(v float64, of string) func(report) (float64, string, bool) {
		return func(report) (float64, string, bool) { return v, of, true }
	}
	var out strings.Builder
	report{}.writeGoals(&out, []goal{
		{"a", 5, " ns", is(5, "")},
		{"b", 5, "", is(5.001, "x 8")},
	})
	for _, want := range []string{"| a | ≤ 5 ns | 5 ns | yes |", "| b | ≤ 5 | 5.001 (best peer: x 8) | **no** |"} {
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
