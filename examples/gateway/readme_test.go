package main

import (
	"os"
	"strings"
	"testing"
)

// What the README shows as the diff is what this program is built with, and its
// 20 lines are 20 at most.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("budget.go")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(readme), "```diff\n")
	if !ok {
		t.Fatal("the README has no diff")
	}
	if lines := strings.Count(before, "\n"); lines > 40 {
		t.Errorf("the diff is not on the first screen, but after %d lines", lines)
	}
	diff, _, _ := strings.Cut(rest, "```")
	var shown []string
	added := 0
	for line := range strings.Lines(diff) {
		switch line[0] {
		case '-':
			continue
		case '+':
			added++
		}
		shown = append(shown, line[1:])
	}
	_, code, _ := strings.Cut(string(source), "// README: begin\n")
	code, _, _ = strings.Cut(code, "\t// README: end")
	code = strings.TrimPrefix(strings.ReplaceAll("\n"+code, "\n\t", "\n"), "\n")
	if got := strings.Join(shown, ""); got != code || added > 20 || added < 10 {
		t.Errorf("the README adds %d lines:\n%s\nand the program has\n%s", added, got, code)
	}
}
