package limitbench

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
	Keys   int           // in the tables and the figures with many keys
}

// validate comes before anything is made, because a million keys take long.
func (o Options) validate() error {
	if o.Rounds < 1 || o.For <= 0 || o.Keys < 1 {
		return fmt.Errorf("%d rounds of %v with %d keys: want at least one of each, and some length", o.Rounds, o.For, o.Keys)
	}
	return nil
}

// Write measures everything and writes the report.
func Write(w io.Writer, o Options) error {
	if err := o.validate(); err != nil {
		return err
	}
	address, stop, skip, err := startRedis()
	if err != nil {
		return err
	}
	defer stop()
	results, err := Run(allTables(o.Keys, address, skip), o.Rounds, o.For)
	if err != nil {
		return err
	}
	r := report{tables: map[string]*Results{}}
	for _, t := range results {
		r.tables[t.Table.Name] = t
	}
	if r.memory, err = measureMemory(memoryPeers(), o.Keys); err != nil {
		return err
	}
	if skip == "" {
		leases, err := measureLeases(address, 15*o.For)
		if err != nil {
			return err
		}
		r.leases = &leases
	}
	facts, err := facts()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Everything is admitted. CPU is the whole process's, wall is the time between two operations of all cores,\n"+
		"both in nanoseconds. Contenders take turns; each figure is the median of %d rounds (of fewer where it says so),\n"+
		"a ratio is the median of the rounds' own ratios.\n\n", o.Rounds)
	r.writeGoals(w, goals())
	fmt.Fprint(w, "\n### What limiters did when put to the test\n")
	writeFacts(w, facts)
	fmt.Fprint(w, "\n### What they cost\n")
	for _, t := range results {
		t.write(w)
	}
	r.writeLeases(w, skip)
	writeMemory(w, r.memory)
	return nil
}

// allTables are all that is timed.
func allTables(keys int, redis, skip string) []Table {
	tables := append([]Table{clockTable()}, keyedTables(keys)...)
	tables = append(tables, concurrencyTable())
	tables = append(tables, httpTables()...)
	tables = append(tables, grpcTable())
	return append(tables, redisTables(redis, skip)...)
}

// hundredths leaves out what the runtime allocates once in a thousand
// operations.
func hundredths(f figure) figure {
	return func(s Sample) float64 { return math.Round(100*f(s)) / 100 }
}

// write writes the table.
func (r *Results) write(w io.Writer) {
	fmt.Fprintf(w, "\n**%s**\n\n", r.Table.Title)
	if r.Table.Skip != "" {
		fmt.Fprintf(w, "Skipped: %s.\n", r.Table.Skip)
		return
	}
	if n := r.Table.Rounds; n > 0 {
		fmt.Fprintf(w, "Of at most %d rounds.\n\n", n)
	}
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
