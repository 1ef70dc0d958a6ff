package metrics_test

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ballast-go/ballast/metrics"
	"github.com/prometheus/client_golang/prometheus"
)

// promtool runs Prometheus's own tool, and returns what it says and whether it is content.
func promtool(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		if ci := os.Getenv("CI"); ci == "true" || ci == "1" {
			t.Fatal("CI has no promtool on its PATH")
		}
		t.Skip("promtool is not on the PATH")
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestPromtoolCheckMetrics(t *testing.T) {
	for _, names := range []metrics.Names{metrics.Guide, metrics.OTel} {
		m := mustNew(t, metrics.Config{Names: names, Registerer: prometheus.NewRegistry()})
		exercise(t, m)
		if out, err := promtool(t, page(t, m), "check", "metrics"); err != nil || out != "" {
			t.Errorf("%v: promtool check metrics: %v\n%s", names, err, out)
		}
	}
}

// promise is the SLO of these tests.
func promise(names metrics.Names) metrics.SLO {
	return metrics.SLO{
		Name:             "serving",
		Names:            names,
		Matchers:         map[string]string{"job": "serving"},
		Availability:     0.999,
		Latency:          time.Second,
		LatencyObjective: 0.95,
		Labels:           map[string]string{"team": "ml-platform"},
		Annotations:      map[string]string{"runbook_url": "https://runbooks.example/serving"},
	}
}

func mustRules(t testing.TB, slo metrics.SLO) []byte {
	t.Helper()
	rules, err := metrics.Rules(slo)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

var update = flag.Bool("update", false, "rewrite testdata")

// What Rules writes is what an operator reads: it changes on purpose.
func TestRulesGolden(t *testing.T) {
	for _, names := range []metrics.Names{metrics.Guide, metrics.OTel} {
		file := filepath.Join("testdata", "rules_"+strings.ToLower(names.String())+".yaml")
		got := mustRules(t, promise(names))
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs; see with -update and git diff:\n%s", file, got)
		}
	}
}

func writeFile(t *testing.T, name string, content []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestPromtoolCheckRules(t *testing.T) {
	hostile := promise(metrics.Guide)
	hostile.Matchers = map[string]string{"job": "\" } [5m] or vector(1) #\n\\\u2028\u0085\x7f\ufeff😀é", "a": "{{ nope", "_b": ": - |"}
	hostile.Labels = map[string]string{"team": "\" \n: - #\\\u2028\u0085\x7f\ufeff😀é'", "y": "yes", "n": "null"}
	hostile.Annotations = map[string]string{"summary": "{{ $labels.slo }}: \"\n---\n", "no": "", "true": "~"}
	hostile.Expected = []string{"a|b", `\`, "\"'\n", ".*"}
	all := []metrics.SLO{hostile}
	for _, names := range []metrics.Names{metrics.Guide, metrics.OTel} {
		native, available, quick := promise(names), promise(names), promise(names)
		native.NativeHistograms = true
		available.Latency, available.LatencyObjective, available.Matchers = 0, 0, nil
		quick.Availability, quick.Matchers, quick.Latency = 0, nil, 5*time.Millisecond
		all = append(all, promise(names), native, available, quick)
	}
	for _, slo := range all {
		file := writeFile(t, "rules.yaml", mustRules(t, slo))
		if out, err := promtool(t, "", "check", "rules", "--lint=all", "--lint-fatal", file); err != nil {
			t.Errorf("%+v: %v\n%s", slo, err, out)
		}
	}
}

// A flow is so many requests a minute with one outcome.
type flow struct {
	status, reason, errorType string
	rate                      string // Prometheus' notation for series, such as 0+60x100
}

func (f flow) series(names metrics.Names) string {
	if names == metrics.OTel {
		return fmt.Sprintf(`http_server_request_duration_seconds_count{job="serving",http_request_method="POST",http_route="/predict",http_response_status_code="%s",error_type="%s"}`, f.status, f.errorType)
	}
	return fmt.Sprintf(`http_requests_total{job="serving",method="POST",endpoint="/predict",status="%s",reason="%s"}`, f.status, f.reason)
}

// A check is what an expression gives at a time: samples as promtool has them.
type check struct {
	at, expr string
	samples  []string // "labels value"
}

func firing(alert, at string, windows ...string) check {
	c := check{at: at, expr: fmt.Sprintf(`count by (window) (ALERTS{alertname="%s",alertstate="firing"})`, alert)}
	for _, w := range windows {
		labels := "{}"
		if w != "" {
			labels = fmt.Sprintf(`{window="%s"}`, w)
		}
		c.samples = append(c.samples, labels+" 1")
	}
	return c
}

// testRules runs promtool test rules, and returns its complaint.
// The series have a sample, and the rules are evaluated, once in step.
func testRules(t *testing.T, step string, rules []byte, series map[string]string, checks ...check) (string, error) {
	t.Helper()
	dir := t.TempDir()
	var b strings.Builder
	fmt.Fprintf(&b, "rule_files: [rules.yaml]\nevaluation_interval: %[1]s\ntests:\n- interval: %[1]s\n  input_series:\n", step)
	for name, values := range series {
		fmt.Fprintf(&b, "  - series: '%s'\n    values: '%s'\n", name, values)
	}
	fmt.Fprintf(&b, "  promql_expr_test:\n")
	for _, c := range checks {
		fmt.Fprintf(&b, "  - expr: '%s'\n    eval_time: %s\n    exp_samples:\n", c.expr, c.at)
		for _, s := range c.samples {
			i := strings.LastIndexByte(s, ' ')
			fmt.Fprintf(&b, "    - labels: '%s'\n      value: %s\n", s[:i], s[i+1:])
		}
	}
	for name, content := range map[string][]byte{"rules.yaml": rules, "test.yaml": []byte(b.String())} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return promtool(t, "", "test", "rules", filepath.Join(dir, "test.yaml"))
}

func flows(names metrics.Names, all ...flow) map[string]string {
	series := make(map[string]string)
	for _, f := range all {
		series[f.series(names)] = f.rate
	}
	return series
}

// The guide's rule divides each series by itself, so that one failure in 10,000 fires it
// and so does shedding. The corrected one tells a failing service from one that protects itself.
func TestGuidesHighErrorRate(t *testing.T) {
	guides, err := os.ReadFile("testdata/guide.yaml")
	if err != nil {
		t.Fatal(err)
	}
	rare := flows(metrics.Guide, flow{"200", "", "", "0+9999x60"}, flow{"500", "", "", "0+1x60"})
	shed := flows(metrics.Guide, flow{"200", "", "", "0+10x60"}, flow{"503", "shed", "", "0+90x60"}, flow{"503", "draining", "", "0+1x60"})
	fired := check{at: "30m", expr: `count(ALERTS{alertname="HighErrorRate",alertstate="firing"}) > bool 0`, samples: []string{"{} 1"}}
	quiet := check{at: "30m", expr: `ALERTS{alertname="HighErrorRate"}`}
	for name, series := range map[string]map[string]string{"rare": rare, "shed": shed} {
		if out, err := testRules(t, "1m", guides, series, fired); err != nil {
			t.Errorf("the guide's rule is better than was thought, %s: %v\n%s", name, err, out)
		}
		if out, err := testRules(t, "1m", mustRules(t, promise(metrics.Guide)), series, quiet); err != nil {
			t.Errorf("the corrected rule, %s: %v\n%s", name, err, out)
		}
	}
}

// What is a failure fires what it should, and what is none fires nothing, in either convention.
func TestPromtoolTestRules(t *testing.T) {
	const high, burn = "HighErrorRate", "HTTPErrorBudgetBurn"
	tests := map[string]struct {
		flows  []flow
		checks []check
		step   string
	}{
		"a tenth fails": {
			flows: []flow{{"200", "", "", "0+90x120"}, {"500", "", "500", "0+10x120"}},
			checks: []check{
				firing(high, "9m", ""), firing(burn, "90m", "1h", "6h", "1d", "3d"),
				{at: "90m", expr: `round(slo:http_request_errors:ratio_rate1h, 0.0001)`, samples: []string{`{slo="serving"} 0.1`}},
			},
		},
		"it is over": { // the short window resets the page soon
			flows:  []flow{{"200", "", "", "0+90x120"}, {"500", "", "500", "0+10x60 600x60"}},
			checks: []check{firing(high, "75m"), firing(burn, "70m", "6h", "1d", "3d"), firing(burn, "59m", "1h", "6h", "1d", "3d")},
		},
		"a panic is a failure": {
			flows:  []flow{{"200", "", "", "0+90x30"}, {"500", "", "panic", "0+10x30"}},
			checks: []check{firing(high, "20m", "")},
		},
		"what checks credentials is down": { // a 503 with a reason that is no protection
			flows:  []flow{{"200", "", "", "0+90x30"}, {"503", "auth-unavailable", "auth-unavailable", "0+10x30"}},
			checks: []check{firing(high, "20m", "")},
		},
		"all but protection works": {
			flows: []flow{
				{"200", "", "", "0+10x120"}, {"503", "shed", "shed", "0+50x120"}, {"503", "queue-full", "queue-full", "0+50x120"},
				{"503", "draining", "draining", "0+50x120"}, {"503", "breaker-open", "breaker-open", "0+50x120"}, {"5xx", "refused", "refused", "0+50x120"},
				{"429", "rate-limited", "", "0+500x120"}, {"499", "", "", "0+50x120"}, {"404", "", "", "0+50x120"},
			},
			checks: []check{
				{at: "90m", expr: `ALERTS`},
				{at: "90m", expr: `slo:http_request_errors:ratio_rate5m`, samples: []string{`slo:http_request_errors:ratio_rate5m{slo="serving"} 0`}},
			},
		},
		"a flood of rejections hides no failures": {
			flows: []flow{{"200", "", "", "0+90x30"}, {"500", "", "500", "0+10x30"}, {"429", "rate-limited", "", "0+9000x30"},
				{"503", "shed", "shed", "0+9000x30"}, {"401", "invalid-token", "", "0+9000x30"}},
			checks: []check{firing(high, "20m", "")},
		},
		"slow burn": { // 2 in 1000: twice the budget
			flows:  []flow{{"200", "", "", "0+998x440"}, {"500", "", "500", "0+2x440"}},
			checks: []check{firing(high, "72h"), firing(burn, "72h", "3d")},
			step:   "10m",
		},
		"nobody asks": {
			flows:  []flow{{"200", "", "", "7x120"}, {"500", "", "500", "3x120"}},
			checks: []check{{at: "90m", expr: `ALERTS`}},
		},
	}
	for name, test := range tests {
		for _, names := range []metrics.Names{metrics.Guide, metrics.OTel} {
			t.Run(fmt.Sprint(name, " ", names), func(t *testing.T) {
				if out, err := testRules(t, cmp.Or(test.step, "1m"), mustRules(t, promise(names)), flows(names, test.flows...), test.checks...); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	}
}

func TestPromtoolLatencyRules(t *testing.T) {
	for _, le := range []string{"1", "1.0"} { // as the text format and as OpenMetrics have it
		for _, names := range []metrics.Names{metrics.Guide, metrics.OTel} {
			series := func(suffix, le string, errorType string) string {
				if le != "" {
					le = `,le="` + le + `"`
				}
				if names == metrics.OTel {
					return "http_server_request_duration_seconds_" + suffix + `{job="serving",http_route="/predict",error_type="` + errorType + `"` + le + "}"
				}
				return "http_request_duration_seconds_" + suffix + `{job="serving",method="POST",endpoint="/predict"` + le + "}"
			}
			values := map[string]string{ // 20 % are late: four times what is allowed
				series("bucket", "0.5", ""): "0+50x160", series("bucket", le, ""): "0+80x160",
				series("bucket", "2.5", ""): "0+99x160", series("bucket", "+Inf", ""): "0+100x160",
				series("count", "", ""): "0+100x160",
			}
			if names == metrics.OTel { // quick failures are no quick answers
				values[series("bucket", le, "500")], values[series("count", "", "500")] = "0+900x160", "0+900x160"
			}
			if out, err := testRules(t, "10m", mustRules(t, promise(names)), values,
				check{at: "26h", expr: `round(slo:http_request_slow:ratio_rate1d, 0.0001)`, samples: []string{`{slo="serving"} 0.2`}},
				firing("HTTPLatencyBudgetBurn", "26h", "1d", "3d"),
			); err != nil {
				t.Errorf("%v, le=%q: %v\n%s", names, le, err, out)
			}
		}
	}
}

// What an operator is told, word for word.
func TestPromtoolAnnotations(t *testing.T) {
	dir := t.TempDir()
	test := `rule_files: [rules.yaml]
evaluation_interval: 1m
tests:
- interval: 1m
  input_series:
  - {series: '` + flow{status: "200"}.series(metrics.Guide) + `', values: '0+95x120'}
  - {series: '` + flow{status: "500"}.series(metrics.Guide) + `', values: '0+5x120'}
  alert_rule_test:
  - eval_time: 90m
    alertname: HTTPErrorBudgetBurn
    exp_alerts:
`
	for _, w := range []struct{ severity, long, factor string }{
		{"critical", "1h", "14.4"}, {"critical", "6h", "6"}, {"warning", "1d", "3"}, {"warning", "3d", "1"},
	} {
		test += `    - exp_labels: {severity: ` + w.severity + `, window: ` + w.long + `, slo: serving, team: ml-platform}
      exp_annotations:
        summary: SLO serving uses up its budget
        description: "5% of the requests of the last ` + w.long + ` failed, ` + w.factor + ` times what the objective of 99.9 % allows, or more."
        runbook_url: https://runbooks.example/serving
`
	}
	for name, content := range map[string]string{"rules.yaml": string(mustRules(t, promise(metrics.Guide))), "test.yaml": test} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := promtool(t, "", "test", "rules", filepath.Join(dir, "test.yaml")); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
