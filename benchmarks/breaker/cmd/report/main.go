// Command report writes the comparison of package breaker with its peers to
// standard output, as Markdown.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	breakbench "github.com/ballast-go/ballast/benchmarks/breaker"
)

// main runs as the one test of a test binary: only tests have virtual time
// (testing/synctest), and what testing would say in the end is not said, because
// the test exits.
func main() {
	args := os.Args[1:]
	os.Args = os.Args[:1] // package testing would read them
	testing.Main(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{
		Name: "report", F: func(t *testing.T) { os.Exit(run(t, args, os.Stdout, os.Stderr)) },
	}}, nil, nil)
}

// run is the command; it returns the exit status.
func run(t *testing.T, args []string, stdout, stderr io.Writer) int {
	var o breakbench.Options
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.Rounds, "rounds", 7, "how often each contender takes its turn")
	flags.DurationVar(&o.For, "for", 200*time.Millisecond, "how long a turn is measured")
	flags.IntVar(&o.Seeds, "seeds", 5, "how often each simulation is run")
	flags.Float64Var(&o.Rate, "rate", 3500, "how many calls a second simulations offer")
	path := flags.String("svg", "", "where to write the picture of the outages; empty: nowhere")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	var chart bytes.Buffer
	err := breakbench.Write(t, stdout, &chart, o)
	if err == nil && *path != "" {
		err = os.WriteFile(*path, chart.Bytes(), 0o644)
	}
	if err != nil {
		fmt.Fprintln(stderr, "report:", err)
		return 1
	}
	return 0
}
