package main

import (
	"os"
	"strings"
	"testing"

	limitbench "github.com/ballast-go/ballast/benchmarks/ratelimit"
)

// TestMain makes the test binary another process, if it was started as one.
func TestMain(m *testing.M) {
	if limitbench.Helper(os.Stdin, os.Stdout) {
		return
	}
	os.Exit(m.Run())
}

func TestRun(t *testing.T) {
	var out, errs strings.Builder
	if status := run([]string{"-rounds=1", "-for=1ms", "-keys=2000"}, &out, &errs); status != 0 {
		t.Fatal(status, errs.String())
	}
	for _, want := range []string{
		"| goal | wanted | measured | met |", "### What limiters did", "### What they cost",
		"**Redis, every call decided there", "**Memory: 2000 keys**",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestRunRefuses(t *testing.T) {
	for arg, want := range map[string]int{"-no-such-flag": 2, "-rounds=0": 1, "-keys=0": 1, "-for=-1s": 1} {
		var out, errs strings.Builder
		if status := run([]string{arg}, &out, &errs); status != want || errs.Len() == 0 {
			t.Errorf("%s: status %d, %q, want %d", arg, status, errs.String(), want)
		}
	}
}
