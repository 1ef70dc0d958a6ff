// Command report writes the comparison of package retry with its peers to
// standard output, as Markdown.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	retrybench "github.com/ballast-go/ballast/benchmarks/retry"
)

func main() {
	retrybench.Helper(os.Stdout)
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is the command; it returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	var o retrybench.Options
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.Rounds, "rounds", 7, "how often each contender takes its turn")
	flags.DurationVar(&o.For, "for", 200*time.Millisecond, "how long a turn is measured")
	flags.IntVar(&o.Calls, "calls", 10_000, "how many calls an outage lasts, at 1,000 a second")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if err := retrybench.Write(stdout, o); err != nil {
		fmt.Fprintln(stderr, "report:", err)
		return 1
	}
	return 0
}
