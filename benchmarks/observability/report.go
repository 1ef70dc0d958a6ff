package obsbench

import (
	"fmt"
	"io"
	"math"
	"time"
)

// Options is how thoroughly a report is measured.
type Options struct {
	Rounds int           // how often each contender takes its turn
	For    time.Duration // how long a turn is measured
}

func (o Options) validate() error {
	if o.Rounds < 1 || o.For <= 0 {
		return fmt.Errorf("%d rounds of %v: want at least one, and some length", o.Rounds, o.For)
	}
	return nil
}

// Write measures everything and writes the report.
func Write(w io.Writer, o Options) error {
	if err := o.validate(); err != nil {
		return err
	}
	results, err := Run(allTables(), o.Rounds, o.For)
	if err != nil {
		return err
	}
	r := report{}
	for _, t := range results {
		r[t.Table.Name] = t
	}
	fmt.Fprintf(w, "CPU is the whole process's, wall is the time between two operations, both in nanoseconds. Contenders take\n"+
		"turns; each figure is the median of %d rounds, a ratio is the median of the rounds' own ratios. The process has a heap\n"+
		"of 64 MB besides.\n\n", o.Rounds)
	r.writeGoals(w, goals())
	for _, t := range results {
		t.write(w)
	}
	return nil
}

// allTables are all that is timed.
func allTables() []Table { return append(recordTables(), probeTable()) }

// hundredths leaves out what the runtime allocates once in a thousand
// operations.
func hundredths(f figure) figure {
	return func(s Sample) float64 { return math.Round(100*f(s)) / 100 }
}

// write writes the table.
func (r *Results) write(w io.Writer) {
	fmt.Fprintf(w, "\n**%s**\n\n", r.Table.Title)
	fmt.Fprintln(w, "| | CPU ns/op | wall ns/op | allocs/op | |")
	fmt.Fprintln(w, "|---|---:|---:|---:|---|")
	for _, c := range r.Table.Contenders {
		fmt.Fprintf(w, "| %s ", c.Name)
		for _, f := range []figure{cpu, wall, hundredths(allocs)} {
			text := "–"
			if v, ok := r.median(c.Name, f); ok {
				text = number(v)
			}
			fmt.Fprintf(w, "| %s ", text)
		}
		fmt.Fprintf(w, "| %s |\n", c.Note)
	}
}
