package authbench

import (
	"fmt"
	"io"
	"math"
)

// A goal is a bound for one figure of the report.
type goal struct {
	name     string
	bound    float64
	atMost   bool   // the value must not exceed the bound; else not fall below
	unit     string // of the value, where it is not a ratio
	measured func(report) (value float64, of string, ok bool)
}

// report is what was measured, by the tables' names.
type report map[string]*Results

// met is about a finite value: what was not measured meets nothing.
func (g goal) met(v float64) bool {
	if g.atMost {
		return v <= g.bound
	}
	return v >= g.bound
}

// goals are those of the issue that these packages answer.
func goals() []goal {
	all := []goal{
		{name: "Cache hit, in the chain: CPU beyond the observer's", bound: 200, atMost: true, unit: " ns", measured: beyond(tableChain, chainToken, observer, cpu)},
		{name: "Cache hit, in the chain: allocations", bound: 0, atMost: true, measured: beyond(tableChain, chainToken, observer, wholeAllocs)},
		{name: "Cache hit, in the chain: golang-jwt's CPU on RS256 over it", bound: 200, measured: timesTheHit("RS256", "golang-jwt")},
		{name: "Cache hit, auth alone in a service: CPU", bound: 500, atMost: true, unit: " ns", measured: of(httpName("RS256"), Ours, cpu)},
		{name: "Cache hit, auth alone in a service: allocations", bound: 2, atMost: true, measured: of(httpName("RS256"), Ours, wholeAllocs)},
	}
	for _, alg := range algorithms {
		all = append(all, goal{name: "Miss, " + alg + ": CPU over the signature check's", bound: 1.15, atMost: true, measured: over(missName(alg), missKept, bareCheck, cpu)})
	}
	for _, alg := range algorithms {
		all = append(all, goal{name: "Miss, " + alg + ": allocations", bound: 25, atMost: true, measured: of(missName(alg), missKept, wholeAllocs)})
	}
	return append(all,
		goal{name: "API key: CPU", bound: 200, atMost: true, unit: " ns", measured: of(tableAPIKeys, Ours, cpu)},
		goal{name: "API key: allocations", bound: 0, atMost: true, measured: of(tableAPIKeys, Ours, wholeAllocs)},
		goal{name: "645 KB hostile token, refused: CPU", bound: 50_000, atMost: true, unit: " ns", measured: of(tableHostile, Ours, cpu)},
	)
}

// beyond is one contender's figure less another's of the same round.
func beyond(table, with, without string, f figure) func(report) (float64, string, bool) {
	return func(r report) (float64, string, bool) {
		t, found := r[table]
		if !found {
			return 0, "", false
		}
		v, ok := t.difference(with, without, f)
		all, _ := t.median(with, f)
		outer, _ := t.median(without, f)
		return v, fmt.Sprintf("%s with it, %s without", number(all), number(outer)), ok
	}
}

// difference is the median of the rounds' own differences.
func (r *Results) difference(with, without string, f figure) (value float64, ok bool) {
	as, bs := r.Samples[with], r.Samples[without]
	var values []float64
	for i := range min(len(as), len(bs)) {
		values = append(values, f(as[i])-f(bs[i]))
	}
	return median(values)
}

// timesTheHit is how many hits in the chain a peer's verification costs.
func timesTheHit(alg, peer string) func(report) (float64, string, bool) {
	return func(r report) (float64, string, bool) {
		chain, http := r[tableChain], r[httpName(alg)]
		if chain == nil || http == nil {
			return 0, "", false
		}
		hit, ok := chain.difference(chainToken, observer, cpu)
		their, found := http.median(peer, cpu)
		return their / hit, fmt.Sprintf("ours %s, %s %s", number(hit), peer, number(their)), ok && found && hit > 0
	}
}

// over is one contender's figure over another's.
func over(table, a, b string, f figure) func(report) (float64, string, bool) {
	return func(r report) (float64, string, bool) {
		t, found := r[table]
		if !found {
			return 0, "", false
		}
		v, ok := t.ratio(a, b, f)
		our, _ := t.median(a, f)
		their, _ := t.median(b, f)
		return v, fmt.Sprintf("ours %s, %s %s", number(our), b, number(their)), ok
	}
}

// wholeAllocs leaves out what is no allocation of the operation but of the
// runtime, once in a thousand or less.
func wholeAllocs(s Sample) float64 { return math.Floor(s.AllocsPerOp() + 0.001) }

// of is a figure of one contender.
func of(table, contender string, f figure) func(report) (float64, string, bool) {
	return func(r report) (float64, string, bool) {
		t, found := r[table]
		if !found {
			return 0, "", false
		}
		v, ok := t.median(contender, f)
		return v, "", ok
	}
}

// writeGoals writes what was wanted, and what was measured.
func (r report) writeGoals(w io.Writer, goals []goal) {
	fmt.Fprintln(w, "| goal | wanted | measured | met |")
	fmt.Fprintln(w, "|---|---|---|---|")
	for _, g := range goals {
		sign := "≥ "
		if g.atMost {
			sign = "≤ "
		}
		v, of, ok := g.measured(r)
		measured, verdict := "not measured here", "–"
		if ok {
			measured = beside(v, g.bound) + g.unit
			if of != "" {
				measured += " (" + of + ")"
			}
			verdict = "**no**"
			if g.met(v) {
				verdict = "yes"
			}
		}
		fmt.Fprintf(w, "| %s | %s%s%s | %s | %s |\n", g.name, sign, number(g.bound), g.unit, measured, verdict)
	}
}
