package metrics_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ballast-go/ballast/metrics"
)

func TestRulesErrors(t *testing.T) {
	tests := map[string]struct {
		slo  metrics.SLO
		want []string
	}{
		"nothing": {metrics.SLO{}, []string{"SLO.Name: \"\" is not", "SLO.Availability: and Latency: nothing is promised"}},
		"all at once": {metrics.SLO{
			Name: "a b", Availability: 0.9, LatencyObjective: 1, Names: 7, Expected: []string{""},
			Matchers:    map[string]string{"a-b": "x", "status": "x", "ok": "\xff", "__x": ""},
			Labels:      map[string]string{"severity": "x", "": "x"},
			Annotations: map[string]string{"1": "x"},
		}, []string{
			`metrics: SLO.Name: "a b" is not`, "SLO.Availability: 0.9 is not between", "SLO.LatencyObjective: 1 is not between",
			"SLO.Latency: 0s is no bound", "SLO.Names: Names(7) is neither", `SLO.Expected: "" is no reason`,
			`SLO.Matchers: "a-b" is no name`, "SLO.Matchers: status is the rules' own", `SLO.Matchers: ok: "\xff" is not valid UTF-8`,
			`SLO.Matchers: "__x" is no name`, "SLO.Labels: severity is the rules' own", `SLO.Labels: "" is no name`, `SLO.Annotations: "1" is no name`,
		}},
		"no bound":     {metrics.SLO{Name: "a", Latency: 750 * time.Millisecond, LatencyObjective: 0.95}, []string{"SLO.Latency: 750ms is no bound"}},
		"no objective": {metrics.SLO{Name: "a", Latency: time.Second}, []string{"SLO.LatencyObjective: 0 is not between"}},
		"percent":      {metrics.SLO{Name: "a", Availability: 99.9}, []string{"SLO.Availability: 99.9 is not between"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			rules, err := metrics.Rules(test.slo)
			if err == nil || rules != nil {
				t.Fatalf("Rules = %s, %v", rules, err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
	if _, err := metrics.Rules(metrics.SLO{Name: "a", Names: metrics.OTel, Latency: 750 * time.Millisecond, LatencyObjective: 0.95}); err != nil {
		t.Errorf("a bound of OTel's: %v", err)
	}
}

// line is all that a rule file may consist of.
var line = regexp.MustCompile(`^(?:#.*|groups:|- name: ".*"|  interval: 30s|  rules:|  - (?:record|alert): [a-zA-Z0-9_:]+|` +
	`    (?:expr: \||for: 5m|labels:|annotations:)|      .*)$`)

// FuzzRules has whatever it takes in one place only, quoted, and nothing beside it.
func FuzzRules(f *testing.F) {
	f.Add("serving", "job", "\"}[5m])) or vector(1) #\n- alert: x", "team", "x\u2028\u0085\x7f\ufeff", "shed|.*", 0.999)
	f.Add("a-b_C", "_", "", "y", ": - {}", "\\", 0.94)
	f.Add("a\nb", "a b", "\xff", "", "'", "\"", 2.0)
	f.Fuzz(func(t *testing.T, name, matcher, value, label, text, reason string, objective float64) {
		slo := metrics.SLO{
			Name: name, Availability: objective, Latency: time.Second, LatencyObjective: 0.95, Expected: []string{reason},
			Matchers: map[string]string{matcher: value}, Labels: map[string]string{label: text}, Annotations: map[string]string{label: text},
		}
		rules, err := metrics.Rules(slo)
		if err != nil {
			return
		}
		if !utf8.Valid(rules) || !strings.HasSuffix(string(rules), "\n") {
			t.Fatal("no text")
		}
		found := false
		for l := range strings.Lines(string(rules)) {
			l = strings.TrimSuffix(l, "\n")
			for i := range len(l) {
				if l[i] < ' ' || l[i] > '~' {
					t.Fatalf("%q is not printable ASCII", l)
				}
			}
			if !line.MatchString(l) {
				t.Fatalf("%q has no place in a rule file", l)
			}
			if rest, ok := strings.CutPrefix(l, "      "+label+": "); ok {
				back, err := strconv.Unquote(rest)
				if err != nil || back != text {
					t.Fatalf("%q became %q, %v", text, l, err)
				}
				found = true
			}
			if strings.Contains(l, "http_requests_total{") && !strings.Contains(l, "{"+matcher+"="+strconv.QuoteToASCII(value)+",") {
				t.Fatalf("%q does not select by %q", l, value)
			}
		}
		if !found {
			t.Fatalf("no label %q", label)
		}
	})
}
