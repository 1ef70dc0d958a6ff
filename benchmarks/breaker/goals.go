package breakbench

import (
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// A goal is a bound for one figure of the report.
type goal struct {
	name     string
	bound    float64
	atMost   bool   // the value must not exceed the bound; else not fall below
	unit     string // of the value, where it is not a ratio
	measured func(report) (value float64, of string, ok bool)
}

// report is what was measured.
type report struct {
	tables   map[string]*Results
	outcomes outcomes
}

// met is about a finite value: what was not measured meets nothing.
func (g goal) met(v float64) bool {
	if g.atMost {
		return v <= g.bound
	}
	return v >= g.bound
}

// goals are those of the issue that this package answers, in its order.
func goals() []goal {
	return append(costGoals(), simulatedGoals()...)
}

func costGoals() []goal {
	return []goal{
		{name: "AllowAt and DoneAt: CPU", bound: 15, atMost: true, unit: " ns", measured: of(tableTwoStep, Ours, cpu)},
		{name: "AllowAt and DoneAt: allocations", atMost: true, measured: of(tableTwoStep, Ours, wholeAllocs)},
		{name: "Do: CPU, failsafe standalone's over ours", bound: 1.7, measured: over(tableDo, standalone, Ours)},
		{name: "Do, slow-call rate: CPU, failsafe standalone's over ours", bound: 1.1, measured: over(tableDo, standalone, ballastSlow)},
		{name: "Do: CPU, gobreaker's over ours", bound: 2, measured: over(tableDo, gobreakerCall, Ours)},
		{name: "Do, slow-call rate: CPU, gobreaker's over ours", bound: 2, measured: over(tableDo, gobreakerCall, ballastSlow)},
		{name: "Do: allocations", atMost: true, measured: of(tableDo, Ours, wholeAllocs)},
		{name: "Do, slow-call rate: allocations", atMost: true, measured: of(tableDo, ballastSlow, wholeAllocs)},
	}
}

// simulatedGoals are met if they are with every seed.
func simulatedGoals() []goal {
	all := []goal{
		{name: "Outage: from its beginning to the trip", bound: 50, atMost: true, unit: " ms", measured: worst(failing, func(o outcome) float64 { return millis(o.trip) })},
		{name: "Outage, calls hang: from the first timeout to the trip", bound: 50, atMost: true, unit: " ms", measured: worst(hanging, func(o outcome) float64 { return millis(o.trip - timeout) })},
	}
	for _, s := range []struct{ scenario, name string }{{failing, "Outage"}, {hanging, "Outage, calls hang"}, {cold, "Cold cache"}} {
		from := "the first good answer"
		if s.scenario == cold {
			from += ", or from when the backend bears 95 %"
		}
		all = append(all,
			goal{name: s.name + ": calls that reach the dead backend after the trip", bound: 0.1, atMost: true, unit: " %", measured: worst(s.scenario, func(o outcome) float64 { return 100 * o.afterShare })},
			goal{name: s.name + ": to 95 % from " + from, bound: 1, atMost: true, unit: " s", measured: worst(s.scenario, func(o outcome) float64 { return o.sinceGood.Seconds() })},
			goal{name: s.name + ": second trips", atMost: true, measured: worst(s.scenario, func(o outcome) float64 { return float64(o.again) })},
			goal{name: s.name + ": largest step of the load", bound: 2, atMost: true, unit: "×", measured: worst(s.scenario, func(o outcome) float64 { return o.step })},
		)
	}
	rejected := func(o outcome) float64 { return float64(o.rejected) }
	return append(all, []goal{
		{name: "Brownout: calls turned away", atMost: true, measured: worst(brownout, rejected)},
		{name: "30 % fail, the threshold is 50 %: calls turned away", atMost: true, measured: worst(partialHalf, rejected)},
		{name: "One bad replica, one breaker: calls turned away", atMost: true, measured: worst(oneBadAll, rejected)},
		{name: "One bad replica, a Group: calls to the others turned away", atMost: true, measured: worst(oneBadEach, func(o outcome) float64 { return float64(o.healthy) })},
		{name: "One bad replica, a Group: trips of the others", atMost: true, measured: worst(oneBadEach, func(o outcome) float64 { return float64(o.wrong) })},
	}...)
}

func millis(d time.Duration) float64 { return d.Seconds() * 1000 }

// worst is our largest figure of all seeds.
func worst(scenario string, f func(outcome) float64) func(report) (float64, string, bool) {
	return func(r report) (float64, string, bool) {
		all := r.outcomes[scenario][Ours]
		if len(all) == 0 {
			return 0, "", false
		}
		return slices.Max(pick(all, f)), "", true
	}
}

// wholeAllocs leaves out what is no allocation of the operation but of the
// runtime, or of a slab for hundreds.
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

// over is a peer's CPU time over ours.
func over(table, peer, ours string) func(report) (float64, string, bool) {
	return func(r report) (float64, string, bool) {
		t, found := r.tables[table]
		if !found {
			return 0, "", false
		}
		v, ok := t.ratio(peer, ours, cpu)
		our, _ := t.median(ours, cpu)
		their, _ := t.median(peer, cpu)
		return v, fmt.Sprintf("ours %s, %s %s", number(our), peer, number(their)), ok
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
			if v >= never.Seconds() {
				measured = "never"
			}
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
