// Command report writes the comparison of the whole stack, and each layer of it, with
// their peers to standard output, as Markdown.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	stackbench "github.com/ballast-go/ballast/benchmarks/stack"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is the command; it returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	var o stackbench.Options
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.Rounds, "rounds", 11, "how often each contender takes its turn")
	flags.DurationVar(&o.For, "for", 80*time.Millisecond, "how long a turn is measured")
	flags.IntVar(&o.Streams, "streams", 10_000, "how many streams are open at a time")
	flags.IntVar(&o.Tails, "tails", 6, "rounds of the open loop")
	flags.DurationVar(&o.TailFor, "tail-for", 2*time.Second, "how long each of them takes")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if err := stackbench.Write(stdout, o); err != nil {
		fmt.Fprintln(stderr, "report:", err)
		return 1
	}
	return 0
}
