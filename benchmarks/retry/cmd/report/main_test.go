package main

import (
	"os"
	"strings"
	"testing"

	retrybench "github.com/ballast-go/ballast/benchmarks/retry"
)

// TestMain makes the test binary another process, if it was started as one.
func TestMain(m *testing.M) {
	retrybench.Helper(os.Stdout)
	os.Exit(m.Run())
}

func TestRun(t *testing.T) {
	var out, errs strings.Builder
	if status := run([]string{"-rounds=1", "-for=1ms", "-calls=100"}, &out, &errs); status != 0 {
		t.Fatal(status, errs.String())
	}
	for _, want := range []string{
		"| goal | wanted | measured | met |", "### What libraries did", "### What they cost", "**An outage, 100ms at 1,000 calls a second",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestRunRefuses(t *testing.T) {
	for arg, want := range map[string]int{"-no-such-flag": 2, "-rounds=0": 1, "-calls=0": 1, "-for=-1s": 1} {
		var out, errs strings.Builder
		if status := run([]string{arg}, &out, &errs); status != want || errs.Len() == 0 {
			t.Errorf("%s: status %d, %q, want %d", arg, status, errs.String(), want)
		}
	}
}
