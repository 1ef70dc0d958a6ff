package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// asCommand has the test binary be the command.
const asCommand = "BREAKBENCH_REPORT"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

// The command, too, has virtual time, and package testing adds nothing to what it
// writes.
func TestCommand(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-rounds=1", "-for=1ms", "-seeds=1", "-rate=5")
	cmd.Env = append(os.Environ(), asCommand+"=1")
	out, err := cmd.Output()
	if err != nil || !strings.HasPrefix(string(out), "CPU is ") || strings.Contains(string(out), "PASS") {
		t.Errorf("%v, %s", err, out)
	}
	cmd = exec.Command(os.Args[0], "-rounds=0")
	cmd.Env = append(os.Environ(), asCommand+"=1")
	if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("%v, want exit status 1", err)
	}
}

func TestRun(t *testing.T) {
	var out, errs strings.Builder
	path := filepath.Join(t.TempDir(), "outage.svg")
	if status := run(t, []string{"-rounds=1", "-for=1ms", "-seeds=1", "-rate=5", "-svg=" + path}, &out, &errs); status != 0 {
		t.Fatal(status, errs.String())
	}
	for _, want := range []string{"| goal | wanted | measured | met |", "### What they cost", "### Outages", "### False trips"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if chart, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(chart), "<svg ") {
		t.Errorf("%v, %.40s", err, chart)
	}
}

func TestRunRefuses(t *testing.T) {
	for arg, want := range map[string]int{"-no-such-flag": 2, "-rounds=0": 1, "-seeds=0": 1, "-rate=0": 1, "-for=-1s": 1} {
		var out, errs strings.Builder
		if status := run(t, []string{arg}, &out, &errs); status != want || errs.Len() == 0 {
			t.Errorf("%s: status %d, %q, want %d", arg, status, errs.String(), want)
		}
	}
}
