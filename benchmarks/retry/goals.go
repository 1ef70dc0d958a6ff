package retrybench

import (
	"fmt"
	"io"
	"math"
	"slices"
)

// Ours is what the others are compared with.
const Ours = "ballast"

// A goal is a bound for one figure of the report, which must not exceed it.
type goal struct {
	name     string
	bound    float64
	unit     string
	measured func(report) (value float64, of string, ok bool)
}

// report is what was measured: tables by their names.
type report map[string]*Results

// goals are those that this package answers.
func goals() []goal {
	var all []goal
	for _, t := range []struct{ table, name string }{
		{tableFirst, "Do, first try succeeds, budget on, context.Background()"},
		{tableFirstCancel, "Do, first try succeeds, budget on, a context that can be canceled"},
	} {
		all = append(all,
			goal{t.name + ": CPU", 5, " ns", of(t.table, Ours, cpu)},
			goal{t.name + ": allocations", 0, "", of(t.table, Ours, wholeAllocs)})
	}
	return all
}

// wholeAllocs leaves out what is no allocation of the operation but of the
// runtime, once in a thousand or less.
func wholeAllocs(s Sample) float64 { return math.Floor(s.AllocsPerOp() + 0.001) }

// of is a figure of one contender, beside what the call costs alone and what
// the best peer has.
func of(table, contender string, f figure) func(report) (float64, string, bool) {
	return func(r report) (float64, string, bool) {
		t, found := r[table]
		if !found {
			return 0, "", false
		}
		v, ok := t.median(contender, f)
		peer, their, found := t.best(f, none, contender)
		if !found {
			return v, "", ok
		}
		return v, fmt.Sprintf("%s %s", peer, number(their)), ok
	}
}

// best is the contender with the least of a figure, of all but some.
func (r *Results) best(f figure, but ...string) (name string, value float64, found bool) {
	for _, c := range r.Table.Contenders {
		if slices.Contains(but, c.Name) {
			continue
		}
		if v, ok := r.median(c.Name, f); ok && (!found || v < value) {
			name, value, found = c.Name, v, true
		}
	}
	return name, value, found
}

// writeGoals writes what was wanted, and what was measured. What was not meets
// nothing.
func (r report) writeGoals(w io.Writer, goals []goal) {
	fmt.Fprintln(w, "| goal | wanted | measured | met |")
	fmt.Fprintln(w, "|---|---|---|---|")
	for _, g := range goals {
		v, of, ok := g.measured(r)
		measured, verdict := "not measured here", "–"
		if ok {
			measured = beside(v, g.bound) + g.unit
			if of != "" {
				measured += " (best peer: " + of + ")"
			}
			verdict = "**no**"
			if v <= g.bound {
				verdict = "yes"
			}
		}
		fmt.Fprintf(w, "| %s | ≤ %s%s | %s | %s |\n", g.name, number(g.bound), g.unit, measured, verdict)
	}
}
