package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	chart := filepath.Join(t.TempDir(), "chart.svg")
	var out, errs strings.Builder
	args := []string{"-callers=1", "-rounds=1", "-for=1ms", "-open=1ms", "-loads=0.5", "-svg=" + chart}
	if status := run(args, &out, &errs); status != 0 {
		t.Fatal(status, errs.String())
	}
	for _, want := range []string{"### Open loop", "### Closed loop", "| goal | wanted | measured | met |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if svg, err := os.ReadFile(chart); runtime.GOOS == "linux" && (err != nil || !strings.HasPrefix(string(svg), "<svg ")) {
		t.Errorf("chart %.20q, %v", svg, err)
	}
}

func TestRunRefuses(t *testing.T) {
	for _, test := range []struct {
		arg    string
		status int
	}{{"-no-such-flag", 2}, {"-loads=x", 2}, {"-loads=-1", 2}, {"-open=-1s", 1}} {
		if test.status == 1 && runtime.GOOS != "linux" {
			continue // the open loop is not measured
		}
		var out, errs strings.Builder
		if status := run([]string{test.arg}, &out, &errs); status != test.status || errs.Len() == 0 {
			t.Errorf("%s: status %d, %q", test.arg, status, errs.String())
		}
	}
}
