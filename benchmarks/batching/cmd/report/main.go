// Command report writes the comparison of package batching with its peers to
// standard output, as Markdown.
package main

import (
	"flag"
	"fmt"
	"io"
	"math"
	"os"
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
	if err := flags.Parse(args); err != nil {
		return 2
	}
	fmt.Fprint(stdout, "### Closed loop: what a batcher costs\n\n")
	if err := batchbench.WriteClosed(stdout, *callers, *rounds, *length); err != nil {
		fmt.Fprintln(stderr, "report:", err)
		return 1
	}
	return 0
}
