package breakbench

import (
	"fmt"
	"io"
	"math"
	"testing"
	"time"
)

// Options is how thoroughly a report is measured.
type Options struct {
	Rounds int           // how often each contender takes its turn
	For    time.Duration // how long a turn is measured
	Seeds  int           // simulations of each kind
	Rate   float64       // calls a second in simulations
}

func (o Options) validate() error {
	if o.Rounds < 1 || o.For <= 0 || o.Seeds < 1 || o.Rate < 1 {
		return fmt.Errorf("%d rounds of %v, %d seeds, %v calls/s: want at least one of each, and some length", o.Rounds, o.For, o.Seeds, o.Rate)
	}
	return nil
}

// Write measures everything, writes the report, and draws the outages into chart
// if that is not nil. It needs a test, because virtual time is the tests': see
// cmd/report.
func Write(t *testing.T, w, chart io.Writer, o Options) error {
	if err := o.validate(); err != nil {
		return err
	}
	results, err := Run(tables(), o.Rounds, o.For)
	if err != nil {
		return err
	}
	all, makers := scenarios(), guardMakers()
	r := report{map[string]*Results{}, simulateAll(t, all, makers, o)}
	for _, t := range results {
		r.tables[t.Table.Name] = t
	}
	r.write(w, o, results, all, makers)
	if chart != nil {
		writeChart(chart, r.outcomes, all[:3], makers, o.Rate)
	}
	return nil
}

func (r report) write(w io.Writer, o Options, results []*Results, all []scenario, makers []guardMaker) {
	fmt.Fprintf(w, "CPU is the whole process's. Contenders take turns; each figure is the median of %d rounds, a ratio is the\n"+
		"median of the rounds' own ratios. Simulations run in virtual time, each %d times with other\n"+
		"arrivals, and an outage that is up to half a second longer or shorter: goals go by the worst of them, tables show\n"+
		"medians.\n\n", o.Rounds, o.Seeds)
	r.writeGoals(w, goals())
	fmt.Fprint(w, "\n### What they cost\n")
	for _, t := range results {
		t.write(w)
	}
	fmt.Fprintf(w, "\n### Outages\n\n%.0f calls/s arrive at random and wait for nobody. The backend bears %.0f/s, answers after %v ± %.0f %%,\n"+
		"and goes on with calls whose callers have given up, which they do after %v.\n"+
		"A step is how many times more calls reach the backend in one p95 of its service times than in the one before,\n"+
		"give or take the %d that may come together. Lost is what failed or was turned away since the heal, as the time\n"+
		"in which so much is offered.\n", o.Rate, headroom*o.Rate, service, 100*spread, timeout, burst)
	for _, s := range all[:3] {
		writeOutage(w, s, r.outcomes[s.name], makers)
	}
	fmt.Fprint(w, "\n### False trips\n")
	for _, s := range all[3:] {
		writeFalse(w, s, r.outcomes[s.name], makers)
	}
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

// hundredths leaves out what the runtime allocates once in a thousand
// operations, and slabs.
func hundredths(f figure) figure {
	return func(s Sample) float64 { return math.Round(100*f(s)) / 100 }
}

// A column is one figure of a simulation.
type column struct {
	title string
	of    func([]outcome) string
}

// since is a column of times.
func since(title string, f func(outcome) time.Duration) column {
	return column{title, func(all []outcome) string {
		d := middle(pick(all, f))
		switch {
		case d == never:
			return "never"
		case d < time.Second:
			return number(math.Round(millis(d))) + " ms"
		}
		return number(d.Seconds()) + " s"
	}}
}

// counted is a column of numbers.
func counted(title string, f func(outcome) float64) column {
	return column{title, func(all []outcome) string { return number(middle(pick(all, f))) }}
}

func writeOutage(w io.Writer, s scenario, of map[string][]outcome, makers []guardMaker) {
	writeColumns(w, s, of, makers, []column{
		since("trip after", func(o outcome) time.Duration { return o.trip }),
		counted("reach the dead after it", func(o outcome) float64 { return float64(o.afterTrip) }),
		counted("%", func(o outcome) float64 { return 100 * o.afterShare }),
		since("heal to first good", func(o outcome) time.Duration { return o.good }),
		since("heal to 95 %", func(o outcome) time.Duration { return o.recovered }),
		since("lost", func(o outcome) time.Duration { return o.lost }),
		counted("second trips", func(o outcome) float64 { return float64(o.again) }),
		counted("largest step", func(o outcome) float64 { return o.step }),
	})
}

func writeFalse(w io.Writer, s scenario, of map[string][]outcome, makers []guardMaker) {
	columns := []column{
		counted("turned away", func(o outcome) float64 { return float64(o.rejected) }),
		counted("failed", func(o outcome) float64 { return float64(o.failed) }),
		counted("openings", func(o outcome) float64 { return float64(o.openings) }),
	}
	if s.replicas > 1 {
		columns = append(columns, counted("turned away from good replicas", func(o outcome) float64 { return float64(o.healthy) }))
	}
	writeColumns(w, s, of, makers, columns)
}

func writeColumns(w io.Writer, s scenario, of map[string][]outcome, makers []guardMaker, columns []column) {
	fmt.Fprintf(w, "\n**%s**\n\n|", s.title)
	for _, c := range columns {
		fmt.Fprintf(w, " | %s", c.title)
	}
	fmt.Fprint(w, " | |\n|---|")
	for range columns {
		fmt.Fprint(w, "---:|")
	}
	fmt.Fprintln(w, "---|")
	for _, m := range makers {
		fmt.Fprintf(w, "| %s", m.name)
		for _, c := range columns {
			text := c.of(of[m.name])
			if !m.opens && (c.title == "openings" || c.title == "second trips") {
				text = "–" // it has no such state
			}
			fmt.Fprintf(w, " | %s", text)
		}
		fmt.Fprintf(w, " | %s |\n", m.note)
	}
}
