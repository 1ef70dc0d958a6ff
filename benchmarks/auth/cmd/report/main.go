// Command report writes the comparison of package auth, and those below it, with
// their peers to standard output, as Markdown.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	authbench "github.com/ballast-go/ballast/benchmarks/auth"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is the command; it returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	var o authbench.Options
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.Rounds, "rounds", 7, "how often each contender takes its turn")
	flags.DurationVar(&o.For, "for", 200*time.Millisecond, "how long a turn is measured")
	flags.IntVar(&o.Tokens, "tokens", 100_000, "how many tokens and API keys many are")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if err := authbench.Write(stdout, o); err != nil {
		fmt.Fprintln(stderr, "report:", err)
		return 1
	}
	return 0
}
