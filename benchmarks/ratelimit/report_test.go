package limitbench

import (
	"strings"
	"testing"
	"time"
)

func TestWrite(t *testing.T) {
	var out strings.Builder
	if err := Write(&out, Options{Rounds: 1, For: time.Millisecond, Keys: 2000}); err != nil {
		t.Fatal(err)
	}
	for _, g := range goals() {
		if !strings.Contains(out.String(), "| "+g.name+" |") {
			t.Errorf("the goal %q is not in\n%s", g.name, out.String())
		}
	}
	for _, want := range []string{
		"### What limiters did", "| ballast | 5 admitted", "| ballast | 2 admitted", "| ballast | 0 permits lost | yes |",
		"### What they cost", "**Memory: 2000 keys**",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	for _, o := range []Options{{0, 1, 1}, {1, 0, 1}, {1, 1, 0}} {
		if err := Write(&strings.Builder{}, o); err == nil {
			t.Errorf("%+v is fine", o)
		}
	}
}
