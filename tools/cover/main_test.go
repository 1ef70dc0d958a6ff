package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for report, want := range map[string]string{
		"ok  \ta.b/c\t0.1s\tcoverage: 85.0% of statements\nok  \ta.b/d\t(cached)\tcoverage: [no statements]\n": "",
		"ok  \ta.b/c\t0.1s\tcoverage: 84.9% of statements\n":                                                   "a.b/c has 84.9 %",
		"\ta.b/untested\t\tcoverage: 0.0% of statements\nok  \ta.b/c\t0.1s\tcoverage: 99.0% of statements\n":   "a.b/untested has 0.0 %",
		"ok  \ta.b/c\t0.1s\tcoverage: ?\n":                                                                     "no percentage",
		"FAIL\tcoverage: 1.0% of statements\n":                                                                 "FAIL",
		"ok  \ta.b/c\t0.1s\tcoverage: 99.0% of statements\n" + strings.Repeat("x", 1<<20):                      "too long",
		"": "no package",
	} {
		err := check(strings.NewReader(report), 85)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, want %q", report, err, want)
		}
	}
}

func TestRun(t *testing.T) {
	report := filepath.Join(t.TempDir(), "packages.txt")
	if err := os.WriteFile(report, []byte("ok  \ta.b/c\t0.1s\tcoverage: 90.0% of statements\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{report}, 0, ""},
		{[]string{"-min=90", report}, 0, ""},
		{[]string{"-min=90.1", report}, 1, "cover: below 90.1 %: a.b/c has 90.0 %\n"},
		{[]string{report + "x"}, 2, "cover: open"},
		{nil, 2, "cover: open"},
		{[]string{"-min=much", report}, 2, "-min"},
	} {
		var stderr bytes.Buffer
		if code := run(tt.args, &stderr); code != tt.code || !strings.Contains(stderr.String(), tt.want) || (stderr.Len() == 0) != (code == 0) {
			t.Errorf("%v: exit code %d and %q", tt.args, code, &stderr)
		}
	}
}
