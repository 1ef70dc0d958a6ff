package main

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for report, want := range map[string]string{
		"ok  \ta.b/c\t0.1s\tcoverage: 85.0% of statements\nok  \ta.b/d\t(cached)\tcoverage: [no statements]\n": "",
		"ok  \ta.b/c\t0.1s\tcoverage: 84.9% of statements\n":                                                   "a.b/c has 84.9 %",
		"\ta.b/untested\t\tcoverage: 0.0% of statements\nok  \ta.b/c\t0.1s\tcoverage: 99.0% of statements\n":   "a.b/untested has 0.0 %",
		"ok  \ta.b/c\t0.1s\tcoverage: ?\n":                                                                     "no percentage",
		"":                                                                                                     "no package",
	} {
		err := check(strings.NewReader(report), 85)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, want %q", report, err, want)
		}
	}
}
