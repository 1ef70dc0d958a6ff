package retrybench

import (
	"strings"
	"testing"
	"time"
)

func TestWrite(t *testing.T) {
	var out strings.Builder
	if err := Write(&out, Options{Rounds: 1, For: time.Millisecond, Calls: 100}); err != nil {
		t.Fatal(err)
	}
	for _, g := range goals() {
		if !strings.Contains(out.String(), "| "+g.name+" |") {
			t.Errorf("the goal %q is not in\n%s", g.name, out.String())
		}
	}
	for _, want := range []string{
		"### What libraries did", "| ballast | after 0s, 1 attempt; the error is the cause and the deadline | yes |",
		"### What they cost", "| cenkalti v4 | 27 | **no** |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "not measured here") {
		t.Errorf("a goal was not measured:\n%s", out.String())
	}
}

func TestWriteRefuses(t *testing.T) {
	for _, o := range []Options{{0, 1, 1}, {1, 0, 1}, {1, 1, 0}} {
		if err := Write(&strings.Builder{}, o); err == nil {
			t.Errorf("%+v is fine", o)
		}
	}
}
