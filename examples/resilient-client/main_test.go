package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/ballast-go/ballast/breaker"
)

// A row is a line of the table.
type row struct {
	phase                                                  string
	calls, live, cached, failed, retries, refused, reached uint64
	states                                                 []string
}

// rows reads the table back.
func rows(t *testing.T, text string) (table []row, last string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for _, line := range lines[1 : len(lines)-1] {
		var r row
		var first string
		if _, err := fmt.Sscan(line, &r.phase, &r.calls, &r.live, &r.cached, &r.failed, &r.retries, &r.refused, &r.reached, &first); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		r.states = strings.Split(line[strings.Index(line, "  "+first)+2:], " → ")
		table = append(table, r)
	}
	return table, lines[len(lines)-1]
}

func TestStory(t *testing.T) {
	var out bytes.Buffer
	s, err := newStory(&out, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := s.tell(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + out.String())
	table, last := rows(t, out.String())
	if len(table) != len(phases) {
		t.Fatalf("%d phases were told, want %d", len(table), len(phases))
	}

	var calls, retries, refused uint64
	state := "closed"
	for _, r := range table {
		calls, retries, refused = calls+r.calls, retries+r.retries, refused+r.refused
		if r.calls != r.live+r.cached || r.failed != 0 {
			t.Errorf("%s: %d calls are not %d live and %d cached answers", r.phase, r.calls, r.live, r.cached)
		}
		if r.states[0] != state {
			t.Errorf("%s begins %s, and the phase before ended %s", r.phase, r.states[0], state)
		}
		state = r.states[len(r.states)-1]
	}
	if state != "closed" {
		t.Errorf("the breaker is %s in the end", state)
	}
	for _, i := range []int{1, 2} {
		if !strings.Contains(strings.Join(table[i].states[1:], " "), "open") || table[i].refused == 0 {
			t.Errorf("%s: the breaker was %v and refused %d", table[i].phase, table[i].states, table[i].refused)
		}
	}
	if healthy := table[0]; healthy.cached != 0 || healthy.retries == 0 || healthy.refused != 0 || len(healthy.states) != 1 {
		t.Errorf("while the server was well: %+v", healthy)
	}

	// What it says is what there was.
	budget, b := s.client.retrier.Budget().Stats(), s.breaker()
	if want := fmt.Sprintf(summary, calls, retries, budget.Capacity); last+"\n" != want {
		t.Errorf("it says %q, want %q", last, want)
	}
	if float64(retries) > 0.1*float64(calls)+budget.Capacity || retries != budget.Spent {
		t.Errorf("%d retries of %d calls: %+v", retries, calls, budget)
	}
	if through := b.Successes + b.Failures + b.Ignored + b.Late; calls+retries != through+b.Rejected || refused != b.Rejected {
		t.Errorf("%d calls and %d retries are not %d outcomes and %d refusals, of which %d are told", calls, retries, through, b.Rejected, refused)
	}
	if b.State != breaker.Closed || b.Opened < 2 {
		t.Errorf("%+v", b)
	}
}

func TestRunEnds(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	if err := run(ctx, new(bytes.Buffer), 0); !errors.Is(err, enough) {
		t.Errorf("%v", err)
	}
}

// The package comment shows a run of this program, not of one that was.
func TestDocumentation(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	_, text, _ := strings.Cut(string(doc), "was:\n")
	for line := range strings.Lines(text) {
		if line, ok := strings.CutPrefix(line, "//\t"); ok {
			shown.WriteString(line)
		}
	}
	header, _, _ := strings.Cut(shown.String(), "\n")
	if want := fmt.Sprintf(line, columns...); header+"\n" != want {
		t.Errorf("the table begins\n%s\nand the program's\n%s", header, want)
	}
	table, last := rows(t, shown.String())
	var calls, retries uint64
	for i, p := range phases {
		if i >= len(table) || table[i].phase != p.name || table[i].calls != table[i].live+table[i].cached {
			t.Fatalf("phase %s is not shown, or does not add up", p.name)
		}
		calls, retries = calls+table[i].calls, retries+table[i].retries
	}
	if want := fmt.Sprintf(summary, calls, retries, 10.0); last+"\n" != want {
		t.Errorf("the last line is %q, want %q", last, want)
	}
}
