package stackbench

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

// report is what was measured. What is nil was not.
type report struct {
	tables map[string]*Results // by their names
	idle   *idle
	tails  *tails
}

// goals are those of the issue that this module answers.
func goals() []goal {
	return []goal{
		{"Whole HTTP stack, called directly: CPU", 3500, " ns", of(tableDirect, Ours, cpu)},
		{"Whole HTTP stack, called directly: allocations", 8, "", of(tableDirect, Ours, wholeAllocs)},
		{"The same, added to a request over loopback: CPU", 8000, " ns", beyond(tableLoopback, Ours, bare, cpu)},
		{"Whole stack for unary gRPC calls, added over loopback: CPU", 3000, " ns", beyond(tableGRPC, Ours, bare, cpu)},
		{"The same, its interceptors called directly: CPU", 3000, " ns", beyond(tableGRPCDirect, Ours, bare, cpu)},
		{"The same, its interceptors called directly: allocations", 8, "", beyond(tableGRPCDirect, Ours, bare, wholeAllocs)},
		{"Access log in the stack, with the request's id: CPU", 600, " ns", beyond(tableLogs, Ours, without, cpu)},
		{"Access log in the stack, with the request's id: allocations", 1, "", beyond(tableLogs, Ours, without, wholeAllocs)},
		{"Metrics in the stack: CPU", 200, " ns", beyond(tableSeries, Ours, without, cpu)},
		{"Metrics in the stack: allocations", 0, "", beyond(tableSeries, Ours, without, wholeAllocs)},
		{"Unsampled trace in the stack: CPU", 700, " ns", beyond(tableTraces, Ours, without, cpu)},
		{"Unsampled trace in the stack: allocations", 4, "", beyond(tableTraces, Ours, without, wholeAllocs)},
		{"An event of a stream: CPU", 100, " ns", beyond(tableChunks, Ours, bare, cpu)},
		{"An event of a stream: allocations", 0, "", beyond(tableChunks, Ours, bare, wholeAllocs)},
		{"An idle stream, beyond net/http's own", 2048, " bytes", func(r report) (float64, string, bool) {
			if r.idle == nil {
				return 0, "", false
			}
			return r.idle.beyond[0], "", true
		}},
		{"Open loop at 70 % load: p99.9 over no stack's", 1.2, "", func(r report) (float64, string, bool) {
			if r.tails == nil {
				return 0, "", false
			}
			of := fmt.Sprintf("%s µs with it, %s µs without", number(r.tails.median(1, p999)/1e3), number(r.tails.median(0, p999)/1e3))
			return r.tails.ratio(1, p999), of, true
		}},
	}
}

// beyond is one contender's figure less another's of the same round.
func beyond(table, with, without string, f figure) func(report) (float64, string, bool) {
	return func(r report) (float64, string, bool) {
		t, found := r.tables[table]
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

// wholeAllocs leaves out what is no allocation of the operation but of the runtime
// or of one request in a hundred.
func wholeAllocs(s Sample) float64 { return math.Floor(s.AllocsPerOp() + 0.001) }

// of is a figure of one contender.
func of(table, contender string, f figure) func(report) (float64, string, bool) {
	return func(r report) (float64, string, bool) {
		t, found := r.tables[table]
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
