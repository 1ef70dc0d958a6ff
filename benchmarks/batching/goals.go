package batchbench

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A goal compares ballast with one or several lines of a cell.
type goal struct {
	name     string
	bound    float64
	atMost   bool   // the value must not exceed the bound; else not fall below
	unit     string // of the value, where it is not a ratio
	measured func(r *rounds) (value float64, of string, ok bool)
}

// verdict is about a finite value: what was not measured has none.
func (g goal) verdict(v float64) string {
	met := v >= g.bound
	if g.atMost {
		met = v <= g.bound
	}
	if met {
		return "yes"
	}
	return "**no**"
}

// goals are those of the closed loop. Where several libraries stand against
// ballast, the best of them counts.
func goals() []goal {
	return append(append(goalsBlocking(), goalsNoop()...), goalsAllocations()...)
}

func goalsBlocking() []goal {
	return []goal{
		{name: "1 caller, 200 µs: p50, the best lingering library's over ours", bound: 4.5,
			measured: bestOf(cellAlone, lingering(), p50, over)},
		{name: "1 caller, 200 µs: p50, ours less calling the device directly", bound: 5, atMost: true, unit: " µs",
			measured: against(cellAlone, unbatched, p50, func(ours, theirs float64) float64 { return ours - theirs })},
		{name: "8 callers, 200 µs: items/s, ours over the best lingering library's", bound: 4.3,
			measured: bestOf(cellEight, lingering(), throughput, under)},
		{name: "8 callers, 200 µs: items/s, ours over the greedy channel's", bound: 1.75,
			measured: against(cellEight, "greedy-channel", throughput, under)},
		{name: "1,000 callers, 200 µs: items/s, ours over the device's limit", bound: 0.97,
			measured: against(cellMany, deviceAlone, throughput, under)},
		{name: "1,000 callers, 200 µs: our p99 over our p50", bound: 1.1, atMost: true,
			measured: ofOurs(cellMany, func(r Result) float64 { return p99(r) / p50(r) })},
		{name: "two devices: items/s, ours over ours with one", bound: 1.85, measured: func(r *rounds) (float64, string, bool) {
			v, ok := r.compare(cellTwoDevices, Ours, cellMany, Ours, func(two, one Result) float64 {
				return two.PerSecond() / one.PerSecond()
			})
			return v, "", ok
		}},
	}
}

func goalsNoop() []goal {
	return []goal{
		{name: "no-op, 1,000 callers: CPU an item, dataloadgen's over ours", bound: 1.3,
			measured: against(cellNoop, "dataloadgen", cpuPerItem, over)},
		{name: "no-op, 1,000 callers: CPU an item, bundler's over ours", bound: 2,
			measured: against(cellNoop, "bundler", cpuPerItem, over)},
		{name: "no-op, 1,000 callers: CPU an item, channel+timer's over ours", bound: 1.7,
			measured: against(cellNoop, "channel+timer", cpuPerItem, over)},
		{name: "no-op, 1,000 callers: CPU an item, ours over mutex+cond's", bound: 1, atMost: true,
			measured: against(cellNoop, mutexCond, cpuPerItem, under)},
		{name: "no-op, 1,000 callers: p99, ours over mutex+cond's", bound: 0.6, atMost: true,
			measured: against(cellNoop, mutexCond, p99, under)},
		{name: "no-op, 10,000 callers: CPU an item, ours over mutex+cond's", bound: 1.1, atMost: true,
			measured: against(cellNoopMost, mutexCond, cpuPerItem, under)},
		{name: "no-op, 10,000 callers: p99, ours over mutex+cond's", bound: 0.6, atMost: true,
			measured: against(cellNoopMost, mutexCond, p99, under)},
		{name: "no-op, 1,000 callers: CPU an item, ours over that of a mutex+cond that does the same work", bound: 1, atMost: true,
			measured: against(cellNoop, mutexCondSame, cpuPerItem, under)},
		{name: "no-op, 1,000 callers: p99, ours over that of a mutex+cond that does the same work", bound: 0.6, atMost: true,
			measured: against(cellNoop, mutexCondSame, p99, under)},
		{name: "no-op, 10,000 callers: CPU an item, ours over that of a mutex+cond that does the same work", bound: 1.1, atMost: true,
			measured: against(cellNoopMost, mutexCondSame, cpuPerItem, under)},
		{name: "no-op, 10,000 callers: p99, ours over that of a mutex+cond that does the same work", bound: 0.6, atMost: true,
			measured: against(cellNoopMost, mutexCondSame, p99, under)},
	}
}

func goalsAllocations() []goal {
	const aBatch = 2.0
	anItem := func(c cell) float64 { return aBatch / float64(min(c.Callers, c.MaxBatch)) }
	perItem := func(r Result) float64 { return r.Allocs }
	return []goal{
		{name: "allocations an item, amortised: 8 callers, 200 µs", bound: anItem(cellEight), atMost: true, measured: ofOurs(cellEight, perItem)},
		{name: "allocations an item, amortised: 1,000 callers, no-op", bound: anItem(cellNoop), atMost: true, measured: ofOurs(cellNoop, perItem)},
		{name: "allocations a batch: 8 callers, 200 µs", bound: aBatch, atMost: true, measured: ofOurs(cellEight, allocsPerBatch)},
		{name: "allocations a batch: 1,000 callers, no-op", bound: aBatch, atMost: true, measured: ofOurs(cellNoop, allocsPerBatch)},
	}
}

// mutexCond is the peer that the goals of the no-op device are set against.
const mutexCond = "mutex+cond"

func lingering() []string {
	return names(slices.DeleteFunc(Libraries(), func(lib Library) bool { return !lib.Lingers }))
}

func names(libs []Library) []string {
	var all []string
	for _, lib := range libs {
		all = append(all, lib.Name)
	}
	return all
}

func over(ours, theirs float64) float64  { return theirs / ours }
func under(ours, theirs float64) float64 { return ours / theirs }

func ofOurs(c cell, f figure) func(*rounds) (float64, string, bool) {
	return func(r *rounds) (float64, string, bool) {
		v, ok := r.median(c, Ours, f)
		return v, "", ok
	}
}

func against(c cell, peer string, f figure, ratio func(ours, theirs float64) float64) func(*rounds) (float64, string, bool) {
	return bestOf(c, []string{peer}, f, ratio)
}

// bestOf compares ours with each peer and gives the comparison that is worst
// for us, where more is better.
func bestOf(c cell, peers []string, f figure, ratio func(ours, theirs float64) float64) func(*rounds) (float64, string, bool) {
	return func(r *rounds) (worst float64, of string, found bool) {
		for _, peer := range peers {
			v, ok := r.compare(c, Ours, c, peer, func(a, b Result) float64 { return ratio(f(a), f(b)) })
			if !ok || found && v >= worst {
				continue
			}
			ours, _ := r.median(c, Ours, f)
			theirs, _ := r.median(c, peer, f)
			worst, found = v, true
			of = fmt.Sprintf("ours %s, %s %s", number(ours), peer, number(theirs))
		}
		return worst, of, found
	}
}

// writeGoals writes the table of goals: what was wanted, what was measured.
func (r *rounds) writeGoals(w io.Writer) {
	fmt.Fprintln(w, "| goal | wanted | measured | met |")
	fmt.Fprintln(w, "|---|---|---|---|")
	for _, g := range goals() {
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
			verdict = g.verdict(v)
		}
		fmt.Fprintf(w, "| %s | %s%s%s | %s | %s |\n", g.name, sign, number(g.bound), g.unit, measured, verdict)
	}
}

// writeCells writes a table for each cell.
func (r *rounds) writeCells(w io.Writer) {
	for _, c := range r.cells {
		of := r.results[c.String()]
		if len(of) == 0 {
			fmt.Fprintf(w, "\n**%s**: not measured, %s\n", c, Closed{Backend: c.Backend}.skip())
			continue
		}
		fmt.Fprintf(w, "\n**%s**\n\n", c)
		fmt.Fprintln(w, "| | items/s | ns/item | CPU ns/item | p50 µs | p99 µs | items/batch | allocs/item | allocs/batch |")
		fmt.Fprintln(w, "|---|---:|---:|---:|---:|---:|---:|---:|---:|")
		for _, name := range append(names(r.libraries), deviceAlone) {
			if len(of[name]) > 0 {
				fmt.Fprintf(w, "| %s | %s |\n", name, strings.Join(r.row(c, name), " | "))
			}
		}
	}
}

func (r *rounds) row(c cell, name string) []string {
	columns := []figure{
		throughput, Result.WallPerOp, cpuPerItem, p50, p99,
		itemsPerBatch,
		func(r Result) float64 { return r.Allocs },
		allocsPerBatch,
	}
	if name == deviceAlone {
		columns = columns[:6]
	}
	row := make([]string, 8)
	for i, f := range columns {
		row[i] = "–"
		if v, ok := r.median(c, name, f); ok {
			row[i] = number(v)
		}
	}
	return row
}

// number prints three significant digits, more only of whole numbers, and no
// more zeros than it needs.
func number(v float64) string { return significant(v, 3) }

// beside prints v like number, but with as many digits as tell it from the
// bound: what reads like the bound is the bound, and meets it.
func beside(v, bound float64) string {
	for digits := 3; digits <= 17 && v != bound; digits++ {
		if text := significant(v, digits); text != significant(bound, digits) {
			return text
		}
	}
	return number(v)
}

func significant(v float64, digits int) string {
	unit := ""
	switch size := math.Abs(v); {
	case size >= 999_500: // it would be rounded to 1000k
		v, unit = v/1e6, "M"
	case size >= 9_999.5:
		v, unit = v/1e3, "k"
	}
	decimals := 0
	if v != 0 {
		decimals = max(0, digits-1-int(math.Floor(math.Log10(math.Abs(v)))))
	}
	text := strconv.FormatFloat(v, 'f', decimals, 64)
	if decimals > 0 {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text + unit
}

// WriteClosed measures a closed loop in every cell of at most so many callers
// and writes its part of the report.
func WriteClosed(w io.Writer, callers, turns int, length time.Duration) error {
	var few []cell
	for _, c := range cells() {
		if c.Callers <= callers {
			few = append(few, c)
		}
	}
	r, err := runRounds(few, Libraries(), turns, length)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Each caller submits its next item when it has its answer. A device runs one batch at a time: `noop` takes no time,\n"+
		"`200us` blocks its OS thread for 200 µs and 2 µs an item, as a cgo call does. Lingering libraries wait 1 ms.\n"+
		"ballast has its bound, its figures and a cancellable context for each caller; of the peers\n"+
		"only the mutex+cond that does the same work has all of these, too.\n"+
		"Libraries take turns; each figure is the median of %d rounds in cells with a goal and of half as many in others,\n"+
		"a ratio is the median of the rounds' own ratios.\n\n", turns)
	r.writeGoals(w)
	r.writeCells(w)
	return nil
}
