package main

import (
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	var out, errs strings.Builder
	if status := run([]string{"-callers=1", "-rounds=1", "-for=1ms"}, &out, &errs); status != 0 {
		t.Fatal(status, errs.String())
	}
	if !strings.Contains(out.String(), "| goal | wanted | measured | met |") {
		t.Error(out.String())
	}
}

func TestRunRefuses(t *testing.T) {
	for _, test := range []struct {
		arg    string
		status int
	}{{"-no-such-flag", 2}, {"-rounds=0", 1}} {
		var out, errs strings.Builder
		if status := run([]string{test.arg}, &out, &errs); status != test.status || errs.Len() == 0 {
			t.Errorf("%s: status %d, %q", test.arg, status, errs.String())
		}
	}
}
