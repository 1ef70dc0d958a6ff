package authbench

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

func measured() report {
	table := func(name string, of map[string][]Sample) *Results { return &Results{Table{Name: name}, of} }
	return report{
		tableChain:        table(tableChain, map[string][]Sample{observer: samples(10, 20, 30), chainToken: samples(13, 24, 35)}),
		httpName("RS256"): table("", map[string][]Sample{"golang-jwt": samples(400, 800, 900)}),
	}
}

func TestBeyond(t *testing.T) {
	v, of, ok := beyond(tableChain, chainToken, observer, cpu)(measured())
	if !ok || v != 4 { // the median of 3, 4 and 5
		t.Errorf("%v, %v, want 4", v, ok)
	}
	if want := "24 with it, 20 without"; of != want {
		t.Errorf("of %q, want %q", of, want)
	}
}

func TestTimesTheHit(t *testing.T) {
	if v, _, ok := timesTheHit("RS256", "golang-jwt")(measured()); !ok || v != 200 {
		t.Errorf("%v, %v, want 200", v, ok)
	}
}

func TestOver(t *testing.T) {
	v, _, ok := over(tableChain, chainToken, observer, wall)(measured())
	if !ok || v != 1.2 { // the median of 13/10, 24/20 and 35/30
		t.Errorf("%v, %v, want 1.2", v, ok)
	}
}

// Where the system does not tell CPU time, goals about it are not met by 0.
func TestUnknownCPUTime(t *testing.T) {
	r := report{
		tableChain:        {Samples: map[string][]Sample{chainToken: samples(0, 0), observer: samples(0, 0)}},
		httpName("RS256"): {Samples: map[string][]Sample{Ours: samples(0), "golang-jwt": samples(0)}},
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
	report{}.writeGoals(&out, []goal{
		{name: "a", bound: 10, atMost: true, unit: " ns", measured: is(10)},
		{name: "b", bound: 10, atMost: true, measured: is(10.001)},
		{name: "c", bound: 1.4, measured: is(1.3999)},
	})
	for _, want := range []string{"| a | ≤ 10 ns | 10 ns | yes |", "| b | ≤ 10 | 10.001 | **no** |", "| c | ≥ 1.4 | 1.3999 | **no** |"} {
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
