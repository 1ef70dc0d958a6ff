// Command report writes the comparison of package batching with its peers to
// standard output, as Markdown.
package main

import (
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	batchbench "github.com/ballast-go/ballast/benchmarks/batching"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the command; it returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	flags.SetOutput(stderr)
	callers := flags.Int("callers", math.MaxInt, "leave out closed loops with more callers")
	rounds := flags.Int("rounds", 7, "how often each library takes its turn in a closed loop")
	length := flags.Duration("for", 250*time.Millisecond, "how long a turn is measured")
	openLength := flags.Duration("open", time.Second, "how long an open loop is measured")
	chart := flags.String("svg", "", "file for the open loop's chart")
	loads := batchbench.Loads
	flags.Func("loads", "the open loop's loads, of capacity, separated by spaces (default 0.5 1 1.5 2)", func(s string) error {
		loads = nil
		for field := range strings.FieldsSeq(s) {
			load, err := strconv.ParseFloat(field, 64)
			if err != nil || load <= 0 {
				return fmt.Errorf("%q is no load", field)
			}
			loads = append(loads, load)
		}
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return 2
	}
	fmt.Fprint(stdout, "### Open loop: goodput\n\n")
	svg, err := batchbench.WriteOpen(stdout, loads, *openLength)
	if err == nil && *chart != "" && svg != nil {
		err = os.WriteFile(*chart, svg, 0o644)
	}
	if err == nil {
		fmt.Fprint(stdout, "\n### Closed loop: what a batcher costs\n\n")
		err = batchbench.WriteClosed(stdout, *callers, *rounds, *length)
	}
	if err != nil {
		fmt.Fprintln(stderr, "report:", err)
		return 1
	}
	return 0
}
