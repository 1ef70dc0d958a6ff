package obsbench

import (
	"fmt"
	"io"
	"math"
)

// A goal is an upper bound for one figure of the report.
type goal struct {
	name     string
	bound    float64
	unit     string // of the value, where it is not a number of things
	measured func(report) (value float64, of string, ok bool)
}

// report is what was measured, by the tables' names.
type report map[string]*Results

// goals are those of the issue that this module answers.
func goals() []goal {
	return []goal{
		{"Record with ten attributes: CPU over slog.JSONHandler's", 1, "", over(tableRecord, Ours, jsonHandler, cpu)},
		{"Record with ten attributes: allocations", 1, "", of(tableRecord, Ours, wholeAllocs)},
		{"The same with its source: CPU over slog.JSONHandler's", 1, "", over(tableSource, Ours, jsonHandler, cpu)},
		{"The same with its source: allocations", 1, "", of(tableSource, Ours, wholeAllocs)},
		{"Probe: CPU", 300, " ns", of(tableProbe, Ours, cpu)},
		{"Probe: allocations", 0, "", of(tableProbe, Ours, wholeAllocs)},
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

// wholeAllocs leaves out what is no allocation of the operation but of the runtime,
// once in a thousand or less.
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
		v, of, ok := g.measured(r)
		measured, verdict := "not measured here", "–"
		if ok {
			measured = beside(v, g.bound) + g.unit
			if of != "" {
				measured += " (" + of + ")"
			}
			verdict = "**no**"
			if v <= g.bound {
				verdict = "yes"
			}
		}
		fmt.Fprintf(w, "| %s | ≤ %s%s | %s | %s |\n", g.name, number(g.bound), g.unit, measured, verdict)
	}
}
