// Command cover reads what "go test -cover" prints and fails if a package has
// less coverage than it should, or statements and no test.
//
//	go test -cover work > packages.txt
//	go run ./cover -min 85 packages.txt
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

func main() { os.Exit(run(os.Args[1:], os.Stderr)) }

// run returns the exit code: 1 for too little coverage, 2 for a report that
// cannot be read.
func run(args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("cover", flag.ContinueOnError)
	flags.SetOutput(stderr)
	least := flags.Float64("min", 85, "least `percent` of each package")
	if flags.Parse(args) != nil {
		return 2
	}
	f, err := os.Open(flags.Arg(0))
	if err != nil {
		fmt.Fprintln(stderr, "cover:", err)
		return 2
	}
	defer f.Close()
	if err := check(f, *least); err != nil {
		fmt.Fprintln(stderr, "cover:", err)
		return 1
	}
	return 0
}

// check complains of every package below least percent, and of a report that
// holds none.
func check(report io.Reader, least float64) error {
	packages := 0
	var low []string
	lines := bufio.NewScanner(report)
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), "coverage: ")
		if !ok || strings.HasPrefix(after, "[no statements]") {
			continue
		}
		percent, err := strconv.ParseFloat(after[:max(strings.IndexByte(after, '%'), 0)], 64)
		if err != nil {
			return fmt.Errorf("no percentage in %q", lines.Text())
		}
		packages++
		if percent < least {
			low = append(low, fmt.Sprintf("%s has %.1f %%", name(before), percent))
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if packages == 0 {
		return fmt.Errorf("no package in the report")
	}
	if len(low) > 0 {
		return fmt.Errorf("below %g %%: %s", least, strings.Join(low, ", "))
	}
	return nil
}

// name is the import path in "ok  path  0.1s" or, without tests, "path".
func name(line string) string {
	for _, f := range strings.Fields(line) {
		if strings.Contains(f, "/") {
			return f
		}
	}
	return strings.TrimSpace(line)
}
