// Command report writes the comparison of packages logging and health with
// their peers to standard output, as Markdown.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	obsbench "github.com/ballast-go/ballast/benchmarks/observability"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is the command; it returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	var o obsbench.Options
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.Rounds, "rounds", 15, "how often each contender takes its turn")
	flags.DurationVar(&o.For, "for", 100*time.Millisecond, "how long a turn is measured")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if err := obsbench.Write(stdout, o); err != nil {
		fmt.Fprintln(stderr, "report:", err)
		return 1
	}
	return 0
}
