package main

import (
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	var out, errs strings.Builder
	if status := run([]string{"-rounds=1", "-for=1ms"}, &out, &errs); status != 0 {
		t.Fatal(status, errs.String())
	}
	if want := "| goal | wanted | measured | met |"; !strings.Contains(out.String(), want) {
		t.Errorf("%q is not in\n%s", want, out.String())
	}
}

func TestRunRefuses(t *testing.T) {
	for arg, want := range map[string]int{"-no-such-flag": 2, "-rounds=0": 1, "-for=-1s": 1} {
		var out, errs strings.Builder
		if status := run([]string{arg}, &out, &errs); status != want || errs.Len() == 0 {
			t.Errorf("%s: status %d, %q, want %d", arg, status, errs.String(), want)
		}
	}
}
