package breakbench

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
	"time"
)

func TestWrite(t *testing.T) {
	var out, chart strings.Builder
	if err := Write(t, &out, &chart, Options{Rounds: 1, For: time.Millisecond, Seeds: 1, Rate: 20}); err != nil {
		t.Fatal(err)
	}
	for _, g := range goals() {
		if !strings.Contains(out.String(), "| "+g.name+" |") {
			t.Errorf("the goal %q is not in\n%s", g.name, out.String())
		}
	}
	if strings.Contains(out.String(), "not measured here") {
		t.Errorf("a goal was not measured:\n%s", out.String())
	}
	for _, s := range scenarios() {
		if !strings.Contains(out.String(), "**"+s.title+"**") {
			t.Errorf("no table for %q", s.title)
		}
	}
	for _, m := range guardMakers() {
		if got, want := strings.Count(out.String(), "| "+m.name+" |"), len(scenarios()); got < want {
			t.Errorf("%s is in %d tables, want %d", m.name, got, want)
		}
		if !strings.Contains(chart.String(), ">"+m.name+"</text>") {
			t.Errorf("%s is not in the picture", m.name)
		}
	}
	checkSVG(t, chart.String())
}

func checkSVG(t *testing.T, chart string) {
	panels := 0
	for d := xml.NewDecoder(strings.NewReader(chart)); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "polyline" {
			panels++
		}
	}
	if want := 3 * 3 * len(guardMakers()); panels != want {
		t.Errorf("%d curves, want %d", panels, want)
	}
	if strings.Contains(chart, "NaN") || strings.Contains(chart, "Inf") {
		t.Error("the picture has numbers that are none")
	}
}

func TestWriteRefuses(t *testing.T) {
	for _, o := range []Options{{0, 1, 1, 1}, {1, 0, 1, 1}, {1, 1, 0, 1}, {1, 1, 1, 0}} {
		if err := Write(t, io.Discard, nil, o); err == nil {
			t.Errorf("%+v is fine", o)
		}
	}
}

// Times that never come are said to be so.
func TestSince(t *testing.T) {
	c := since("", func(o outcome) time.Duration { return o.good })
	for d, want := range map[time.Duration]string{never: "never", 12345678: "12 ms", 2340 * ms: "2.34 s", 0: "0 ms"} {
		if got := c.of([]outcome{{good: d}}); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
