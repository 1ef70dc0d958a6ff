package obsbench

import (
	"strings"
	"testing"
	"time"
)

func TestWrite(t *testing.T) {
	var out strings.Builder
	if err := Write(&out, Options{Rounds: 1, For: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	for _, g := range goals() {
		if !strings.Contains(out.String(), "| "+g.name+" |") || strings.Contains(out.String(), "not measured") {
			t.Errorf("the goal %q is not in\n%s", g.name, out.String())
		}
	}
	for _, table := range allTables() {
		for _, c := range table.Contenders {
			if !strings.Contains(out.String(), "**"+table.Title+"**") || !strings.Contains(out.String(), "| "+c.Name+" | ") {
				t.Errorf("%s: %s is not in\n%s", table.Name, c.Name, out.String())
			}
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	for _, o := range []Options{{0, 1}, {1, 0}} {
		if err := Write(&strings.Builder{}, o); err == nil {
			t.Errorf("%+v is fine", o)
		}
	}
}
