package retrybench

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
	Calls  int           // of an outage, at 1,000 a second
}

// validate comes before anything is measured.
func (o Options) validate() error {
	if o.Rounds < 1 || o.For <= 0 || o.Calls < 1 {
		return fmt.Errorf("%d rounds of %v, outages of %d calls: want at least one of each, and some length", o.Rounds, o.For, o.Calls)
	}
	return nil
}

// Write measures everything and writes the report.
func Write(w io.Writer, o Options) error {
	if err := o.validate(); err != nil {
		return err
	}
	all, err := facts(o.Calls)
	if err != nil {
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
	fmt.Fprintf(w, "CPU is the whole process's, wall is the time between two operations, both in nanoseconds. Contenders\n"+
		"take turns; each figure is the median of %d rounds.\n\n", o.Rounds)
	r.writeGoals(w, goals())
	fmt.Fprint(w, "\n### What libraries did when put to the test\n\n"+
		"In virtual time, with up to three attempts and 100 ms before the first retry unless it says otherwise,\n"+
		"and otherwise as each library is by default.\n")
	writeFacts(w, all)
	fmt.Fprint(w, "\n### What they cost\n")
	for _, t := range results {
		t.write(w)
	}
	return nil
}

// allTables are all that is timed.
func allTables() []Table { return append(append(doTables(), httpTables()...), hedgeTable()) }

// hundredths leaves out what the runtime allocates once in a thousand
// operations.
func hundredths(f figure) figure {
	return func(s Sample) float64 { return math.Round(100*f(s)) / 100 }
}

// write writes the table.
func (r *Results) write(w io.Writer) {
	fmt.Fprintf(w, "\n**%s**\n\n", r.Table.Title)
	fmt.Fprintln(w, "| | CPU ns/op | wall ns/op | ops/s | allocs/op | |")
	fmt.Fprintln(w, "|---|---:|---:|---:|---:|---|")
	for _, c := range r.Table.Contenders {
		fmt.Fprintf(w, "| %s ", c.Name)
		for _, f := range []figure{cpu, wall, perSecond, hundredths(allocs)} {
			text := "–"
			if v, ok := r.median(c.Name, f); ok {
				text = number(v)
			}
			fmt.Fprintf(w, "| %s ", text)
		}
		fmt.Fprintf(w, "| %s |\n", c.Note)
	}
}
