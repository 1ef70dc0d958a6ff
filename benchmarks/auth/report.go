package authbench

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
	Tokens int           // and API keys, where there are many
}

// validate comes before anything is made, because 100,000 tokens take long.
func (o Options) validate() error {
	if o.Rounds < 1 || o.For <= 0 || o.Tokens < 100 {
		return fmt.Errorf("%d rounds of %v with %d tokens: want at least one, some length, and 100", o.Rounds, o.For, o.Tokens)
	}
	return nil
}

// Write measures everything and writes the report.
func Write(w io.Writer, o Options) error {
	if err := o.validate(); err != nil {
		return err
	}
	issuers, err := newIssuers()
	if err != nil {
		return err
	}
	verdicts, err := judge(issuers["RS256"])
	if err != nil {
		return err
	}
	tables, err := allTables(issuers, o.Tokens)
	if err != nil {
		return err
	}
	results, err := Run(tables, o.Rounds, o.For)
	if err != nil {
		return err
	}
	flooded, err := floods(3 * o.For)
	if err != nil {
		return err
	}
	r := report{}
	for _, t := range results {
		r[t.Table.Name] = t
	}
	fmt.Fprintf(w, "Every token has %d bytes. CPU is the whole process's, wall is the time between two operations, both in\n"+
		"nanoseconds. Contenders take turns; each figure is the median of %d rounds (of fewer where it says so), a ratio\n"+
		"is the median of the rounds' own ratios. The process has a heap of 64 MB besides.\n\n", tokenBytes, o.Rounds)
	r.writeGoals(w, goals())
	fmt.Fprint(w, "\n### Which tokens get through\n\nEach library with all the checks that it has an option for. What is wrong is in bold.\n")
	writeVerdicts(w, verdicts)
	fmt.Fprint(w, "\n### A new key, under a flood of made-up key ids\n")
	writeFloods(w, flooded, 3*o.For)
	fmt.Fprint(w, "\n### What they cost\n")
	for _, t := range results {
		t.write(w)
	}
	return nil
}

// allTables are all that is timed.
func allTables(issuers map[string]*issuer, many int) ([]Table, error) {
	keys, err := newAPIKeys(many)
	if err != nil {
		return nil, err
	}
	tokens, err := issuers["ES256"].tokens(many)
	if err != nil {
		return nil, err
	}
	blended, err := blendedTable(issuers["ES256"], tokens)
	if err != nil {
		return nil, err
	}
	hits, err := issuers["HS256"].tokens(min(many, manyTokens))
	if err != nil {
		return nil, err
	}
	misses, err := missTables(issuers)
	if err != nil {
		return nil, err
	}
	tables := []Table{chainTable(issuers["RS256"], keys)}
	tables = append(tables, httpTables(issuers)...)
	tables = append(tables, hitTable(issuers["HS256"], hits))
	tables = append(tables, misses...)
	tables = append(tables, blended, keysTable(keys))
	tables = append(tables, hostileTables(issuers["HS256"])...)
	return append(tables, rbacTable()), nil
}

// hundredths leaves out what the runtime allocates once in a thousand
// operations.
func hundredths(f figure) figure {
	return func(s Sample) float64 { return math.Round(100*f(s)) / 100 }
}

// write writes the table.
func (r *Results) write(w io.Writer) {
	fmt.Fprintf(w, "\n**%s**\n\n", r.Table.Title)
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
