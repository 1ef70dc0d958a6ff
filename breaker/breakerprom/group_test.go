package breakerprom_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ballast-go/ballast/breaker"
	"github.com/ballast-go/ballast/breaker/breakerprom"
)

func newGroup[K comparable](t testing.TB, cfg breaker.GroupConfig[K]) *breaker.Group[K] {
	t.Helper()
	g, err := breaker.NewGroup(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// The breakers that there are at a scrape are on the page, and those that share
// one for want of room on a line without a key.
func TestGroup(t *testing.T) {
	g := newGroup(t, breaker.GroupConfig[string]{Breaker: breaker.Config{Name: "not shown", ConsecutiveFailures: 3}, Max: 2})
	r := registryOf(t, breakerprom.NewGroupCollector("models", g))
	if n := len(samples(t, page(t, r))); n != 19 {
		t.Errorf("%d series of a group that nobody has used, want 19", n)
	}
	for range 3 {
		_ = call(t, g.Get("a"), errBroken)
	}
	_ = call(t, g.Get("b"), nil)
	for _, key := range []string{"c", "d"} { // there is no room: the others are in use
		_ = call(t, g.Get(key), nil)
	}
	want(t, r, map[string]float64{
		`breaker_state{breaker="models",key="a",state="open"}`:            1,
		`breaker_state{breaker="models",key="b",state="closed"}`:          1,
		`breaker_state{breaker="models",key="",state="closed"}`:           1,
		`breaker_calls_total{breaker="models",key="a",outcome="failure"}`: 3,
		`breaker_calls_total{breaker="models",key="b",outcome="success"}`: 1,
		`breaker_calls_total{breaker="models",key="",outcome="success"}`:  2,
	})
	if n := len(samples(t, page(t, r))); n != 3*19 {
		t.Errorf("%d series of a full group of 2, want %d", n, 3*19)
	}
}

// The figure in the package comment.
func TestNumberOfSeries(t *testing.T) {
	if n := len(samples(t, page(t, registryOf(t, breakerprom.NewCollector(stub("", breaker.Stats{})))))); n != 19 {
		t.Errorf("%d series, want 19", n)
	}
	g := newGroup(t, breaker.GroupConfig[int]{})
	r := registryOf(t, breakerprom.NewGroupCollector("", g))
	for key := range 5000 {
		_ = call(t, g.Get(key), nil)
	}
	if n := len(samples(t, page(t, r))); n != 19475 {
		t.Errorf("%d series of a full group, want 19475", n)
	}
}

// Keys that a client chose cannot make a scrape fail, and are one line if they
// look alike.
func TestKeys(t *testing.T) {
	long := strings.Repeat("ä", 100)
	for name, tt := range map[string]struct {
		keys  []any
		shown string
	}{
		"not UTF-8":                  {[]any{"a\xff", "a\xfe", "a\uFFFD"}, "a\uFFFD"},
		"long":                       {[]any{long + "1", long + "2"}, strings.Repeat("ä", 64)},
		"long, cut inside a rune":    {[]any{"x" + long, "x" + long + "2"}, "x" + strings.Repeat("ä", 63)},
		"long, not UTF-8":            {[]any{strings.Repeat("\x80", 200)}, "\uFFFD"},
		"of several types":           {[]any{1, "1", int8(1), fmt.Stringer(stringer{})}, "1"},
		"empty, like the shared one": {[]any{""}, ""},
		"quotes":                     {[]any{"a\"b\\c\nd"}, `a\"b\\c\nd`},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGroup(t, breaker.GroupConfig[any]{Breaker: breaker.Config{ConsecutiveFailures: 2, SlowAfter: 1, MinCalls: 1000}})
			r := registryOf(t, breakerprom.NewGroupCollector("g", g))
			for _, key := range tt.keys {
				for range 3 {
					_ = call(t, g.Get(key), nil)
				}
			}
			series := func(name, more string) string {
				return "breaker_" + name + `{breaker="g",key="` + tt.shown + `"` + more + `}`
			}
			calls := 3 * float64(len(tt.keys))
			_ = call(t, g.Get(tt.keys[0]), errBroken)
			want(t, r, map[string]float64{
				series("state", `,state="closed"`):          1,
				series("calls_total", `,outcome="success"`): calls,
				series("calls_total", `,outcome="failure"`): 1,
				series("window_calls", ""):                  calls + 1,
				series("window_failure_ratio", ""):          1 / (calls + 1),
				series("window_slow_ratio", ""):             1,
				series("slow_calls_total", ""):              calls + 1,
			})
			_ = call(t, g.Get(tt.keys[0]), errBroken) // and it opens
			want(t, r, map[string]float64{
				series("state", `,state="open"`):            1,
				series("state", `,state="closed"`):          0,
				series("share_ratio", ""):                   0,
				series("calls_total", `,outcome="failure"`): 2,
				series("window_failure_ratio", ""):          0, // of those that are left
			})
			if !utf8.ValidString(page(t, r)) {
				t.Error("the page is not UTF-8")
			}
		})
	}
}

type stringer struct{}

func (stringer) String() string { return "1" }
