package authbench

import (
	"strings"
	"testing"
	"time"
)

func TestWrite(t *testing.T) {
	var out strings.Builder
	if err := Write(&out, Options{Rounds: 1, For: time.Millisecond, Tokens: 1000}); err != nil {
		t.Fatal(err)
	}
	for _, g := range goals() {
		if !strings.Contains(out.String(), "| "+g.name+" |") {
			t.Errorf("the goal %q is not in\n%s", g.name, out.String())
		}
	}
	for _, want := range []string{
		"### Which tokens get through", "| good | accepted | accepted | accepted | accepted | accepted |",
		"| alg none | refused | refused | refused | refused | refused |",
		"### A new key, under a flood", "| go-oidc |",
		"### What they cost", "**Hits and misses together, ES256: 1000 callers, a cache for 163**",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	for _, o := range []Options{{0, 1, 100}, {1, 0, 100}, {1, 1, 99}} {
		if err := Write(&strings.Builder{}, o); err == nil {
			t.Errorf("%+v is fine", o)
		}
	}
}
