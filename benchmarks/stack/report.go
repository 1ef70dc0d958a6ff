package stackbench

import (
	"fmt"
	"io"
	"math"
	"time"
)

// Options is how thoroughly a report is measured.
type Options struct {
	Rounds  int           // how often each contender takes its turn
	For     time.Duration // how long a turn is measured
	Streams int           // open at a time, where they are idle
	Tails   int           // rounds of the open loop
	TailFor time.Duration // how long each of those takes
}

func (o Options) validate() error {
	if o.Rounds < 1 || o.For <= 0 || o.Streams < 1 || o.Tails < 1 || o.TailFor <= 0 {
		return fmt.Errorf("%+v: want at least one of each, and some length", o)
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
	idle, err := measureIdle(o.Streams)
	if err != nil {
		return err
	}
	tails, err := measureTails(o.Tails, o.TailFor)
	if err != nil {
		return err
	}
	r := report{tables: map[string]*Results{}, idle: idle, tails: tails}
	for _, t := range results {
		r.tables[t.Table.Name] = t
	}
	fmt.Fprintf(w, "CPU is the whole process's, wall is the time between two operations, both in nanoseconds. Contenders take\n"+
		"turns; each figure is the median of %d rounds, and what a layer adds is the median of the rounds' own differences.\n"+
		"Everybody has the same request with an HS256 token, JSON records that go nowhere, a registry of their own, and the\n"+
		"OpenTelemetry SDK with a batch processor that exports to nowhere. The process has a heap of 64 MB besides.\n\n", o.Rounds)
	r.writeGoals(w, goals())
	for _, t := range results {
		t.write(w)
	}
	idle.write(w)
	tails.write(w)
	return nil
}

// allTables are all that is timed.
func allTables() []Table {
	tables := []Table{
		stackTable(tableDirect, "The whole stack, called directly", 16, directly),
		stackTable(tableLoopback, "The whole stack, over loopback, keep-alive", 8, overLoopback),
	}
	tables = append(tables, marginalTables()...)
	tables = append(tables, callTables()...)
	return append(tables, stackTable(tableChunks, "An event of a stream: Write and Flush", 1024, inStream))
}

// hundredths leaves out what the runtime allocates once in a thousand
// operations.
func hundredths(f figure) figure {
	return func(s Sample) float64 { return math.Round(100*f(s)) / 100 }
}

// write writes the table. What all lines have besides is in the first.
func (r *Results) write(w io.Writer) {
	first := r.Table.Contenders[0].Name
	fmt.Fprintf(w, "\n**%s**\n\n", r.Table.Title)
	fmt.Fprintln(w, "| | CPU ns/op | added | wall ns/op | allocs/op | added | |")
	fmt.Fprintln(w, "|---|---:|---:|---:|---:|---:|---|")
	for _, c := range r.Table.Contenders {
		fmt.Fprintf(w, "| %s ", c.Name)
		for _, column := range []struct {
			figure
			added bool
		}{{cpu, false}, {cpu, true}, {wall, false}, {hundredths(allocs), false}, {hundredths(allocs), true}} {
			get := func() (float64, bool) { return r.median(c.Name, column.figure) }
			if column.added {
				get = func() (float64, bool) { return r.difference(c.Name, first, column.figure) }
			}
			text := "–"
			if v, ok := get(); ok && (!column.added || c.Name != first) {
				text = number(v)
			}
			fmt.Fprintf(w, "| %s ", text)
		}
		fmt.Fprintf(w, "| %s |\n", c.Note)
	}
}
