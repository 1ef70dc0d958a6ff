package limitbench

import (
	"fmt"
	"io"
	"math"
)

// Ours is what the others are compared with.
const Ours = "ballast"

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
	tables map[string]*Results
	memory []footprint
	leases *leaseErrors // nil without a Redis
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
	all := []goal{
		{name: "AllowAt, hot key, one core: CPU", bound: 15, atMost: true, unit: " ns", measured: of(tableHot, ballastAllowAt, cpu)},
		{name: "AllowAt, hot key, two cores contending: wall", bound: 20, atMost: true, unit: " ns", measured: of(tableContending, ballastAllowAt, wall)},
		{name: "AllowAt, hot key: allocations", bound: 0, atMost: true, measured: of(tableHot, ballastAllowAt, wholeAllocs)},
		{name: "Allow, hot key: CPU, the best peer's over ours", bound: 1.4, measured: bestPeer(tableHot, ballastAllow, readsClock(), cpu)},
		{name: "Allow, 10k uniform: CPU, the best peer's over ours", bound: 1.5, measured: bestPeer(tableUniform, ballastAllow, readsClock(), cpu)},
		{name: "Allow, 1M zipf: CPU, the best peer's over ours", bound: 1.7, measured: bestPeer(tableZipf, ballastAllow, readsClock(), cpu)},
		{name: "AllowAt, 10k uniform: CPU", bound: 40, atMost: true, unit: " ns", measured: of(tableUniform, ballastAllowAt, cpu)},
		{name: "AllowAt, 1M zipf: CPU", bound: 105, atMost: true, unit: " ns", measured: of(tableZipf, ballastAllowAt, cpu)},
		{name: "Memory, 1M keys in a table for as many", bound: 24, atMost: true, unit: " B/key", measured: ofMemory(func(f footprint) float64 { return f.heap })},
		{name: "Memory, 1M keys: what a garbage collection scans", bound: 0.1, atMost: true, unit: " B/key", measured: ofMemory(func(f footprint) float64 { return f.scanned })},
	}
	return append(all, moreGoals()...)
}

// moreGoals are those of the packages around the keyed limiter.
func moreGoals() []goal {
	var all []goal
	for _, t := range []struct{ table, name string }{{tableHTTPKey, "API key"}, {tableHTTPAddress, "client address"}} {
		all = append(all,
			goal{name: "HTTP middleware by " + t.name + ": CPU", bound: 250, atMost: true, unit: " ns", measured: of(t.table, Ours, cpu)},
			goal{name: "HTTP middleware by " + t.name + ": allocations", bound: 2, atMost: true, measured: of(t.table, Ours, wholeAllocs)})
	}
	return append([]goal{
		{name: "Concurrency, adaptive: CPU, less two clock reads", bound: 25, atMost: true, unit: " ns", measured: lessClock(tableConcurrency, ballastTimed, 2)},
		{name: "Concurrency, adaptive, busy: CPU, less an eighth of a clock read", bound: 25, atMost: true, unit: " ns", measured: lessClock(tableConcurrency, ballastBusy, 2.0/16)},
		{name: "Concurrency, adaptive: allocations", bound: 0, atMost: true, measured: of(tableConcurrency, ballastTimed, wholeAllocs)},
	}, append(all, []goal{
		{name: "gRPC unary interceptor: allocations", bound: 1, atMost: true, measured: of(tableGRPC, Ours, wholeAllocs)},
		{name: "Redis exact, 64 callers, one key: ops/s, ours over redis_rate's", bound: 12, measured: over(tableExact, ballastExact, redisRate, perSecond)},
		{name: "Redis exact, 64 callers, 1,000 keys: ops/s, ours over redis_rate's", bound: 12, measured: over(tableExactMany, ballastExact, redisRate, perSecond)},
		{name: "Redis leased, 16 callers, one key with a high limit: ops/s, ours over redis_rate's", bound: 40, measured: over(tableLeased, ballastLeased, redisRate, perSecond)},
		{name: "Redis leased, 16 callers, 1,000 keys with high limits: ops/s, ours over redis_rate's", bound: 40, measured: over(tableLeasedMany, ballastLeased, redisRate, perSecond)},
		{name: "Redis leased, 50 limiters in 3 processes: admitted beyond the limit", bound: 1, atMost: true, unit: " %", measured: ofLeases(leaseErrors.overShare)},
		{name: "Redis leased, 50 limiters in 3 processes: false denials", bound: 1, atMost: true, unit: " %", measured: ofLeases(leaseErrors.refusedShare)},
	}...)...)
}

// ofLeases is a share in percent.
func ofLeases(share func(leaseErrors) float64) func(report) (float64, string, bool) {
	return func(r report) (float64, string, bool) {
		if r.leases == nil {
			return 0, "", false
		}
		return 100 * share(*r.leases), "", true
	}
}

// lessClock is a contender's CPU time without so many readings of the clock,
// as measured in the same round.
func lessClock(table, contender string, reads float64) func(report) (float64, string, bool) {
	return func(r report) (float64, string, bool) {
		t, clock := r.tables[table], r.tables[tableClock]
		if t == nil || clock == nil {
			return 0, "", false
		}
		with, reading := t.Samples[contender], clock.Samples[timeSince]
		var values []float64
		for i := range min(len(with), len(reading)) {
			values = append(values, cpu(with[i])-reads*cpu(reading[i]))
		}
		all, _ := t.median(contender, cpu)
		each, _ := clock.median(timeSince, cpu)
		v, ok := median(values)
		return v, fmt.Sprintf("%s in all, a read %s", number(all), number(each)), ok
	}
}

// over is one contender's figure over another's.
func over(table, a, b string, f figure) func(report) (float64, string, bool) {
	return func(r report) (float64, string, bool) {
		t, found := r.tables[table]
		if !found {
			return 0, "", false
		}
		v, ok := t.ratio(a, b, f)
		our, _ := t.median(a, f)
		their, _ := t.median(b, f)
		return v, fmt.Sprintf("%s %s, %s %s", a, number(our), b, number(their)), ok
	}
}

// wholeAllocs leaves out what is no allocation of the operation but of the
// runtime, once in a thousand or less.
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

// bestPeer is the best peer's figure over ours, where less is better: the
// smallest of the peers' ratios.
func bestPeer(table, ours string, peers []string, f figure) func(report) (float64, string, bool) {
	return func(r report) (worst float64, of string, found bool) {
		t, ok := r.tables[table]
		if !ok {
			return 0, "", false
		}
		for _, peer := range peers {
			v, ok := t.ratio(peer, ours, f)
			if !ok || found && v >= worst {
				continue
			}
			our, _ := t.median(ours, f)
			their, _ := t.median(peer, f)
			worst, found = v, true
			of = fmt.Sprintf("ours %s, %s %s", number(our), peer, number(their))
		}
		return worst, of, found
	}
}

func ofMemory(f func(footprint) float64) func(report) (float64, string, bool) {
	return func(r report) (float64, string, bool) {
		for _, m := range r.memory {
			if m.name == ballastAllowAt {
				return f(m), "", true
			}
		}
		return 0, "", false
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
