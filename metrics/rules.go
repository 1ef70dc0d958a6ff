package metrics

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ballast-go/ballast/internal/reqstate"
)

// An SLO is what a service promises its clients, over 30 days: that enough
// requests succeed, that enough are answered in time, or both.
type SLO struct {
	// Name is the label slo of all that comes of it. Required: 1 to 64 of
	// [a-zA-Z0-9_-].
	Name string

	// Matchers select the series by the labels that a scrape adds, such as
	// {"job": "serving"}: each has to equal its value. None selects all that
	// Prometheus has.
	Matchers map[string]string

	// Availability is the share of requests that may not fail, 0.94 to 0.99999.
	// Below, the fast alert could never fire. Zero means no such promise.
	//
	// A request fails with a 5xx verdict. A rejection for one of the reasons in
	// Expected is no failure, nor is it, like 401, 403 and 429, among the requests
	// that the share is of. 499 is no failure.
	Availability float64

	// Latency is how soon LatencyObjective of the requests must have been answered,
	// a share of 0.94 to 0.99999. It must be a bound of the duration histogram: 5,
	// 10, 25, 50, 100, 250 or 500 ms, 1, 2.5, 5 or 10 s and, of OTel, 75 or 750 ms
	// and 7.5 s. Both zero mean no such promise. With OTel it is of requests that
	// did not fail; Guide's histogram does not tell, and quick rejections count as
	// answered.
	Latency          time.Duration
	LatencyObjective float64

	// Expected are the reasons of rejections that are no failures. Nil means
	// breaker-open, draining, queue-full, queue-timeout, refused and shed.
	Expected []string

	// Names and NativeHistograms are those of the Config of the series, the latter
	// only if Prometheus scrapes and keeps native histograms.
	Names            Names
	NativeHistograms bool

	// Labels and Annotations are added to each alert, for routing and runbooks:
	// {"team": "ml-platform"}. As in a rule file, {{ }} is a template's.
	Labels, Annotations map[string]string

	_ struct{}
}

// Rules returns a rule file for Prometheus: recording rules for the shares of
// requests that break the promise, and alerts for how fast that uses up what may
// break it, its error budget, as in chapter 5 of Google's SRE workbook:
//
//	severity  budget used      in      and still at that rate in the last
//	critical  2 % (14.4 ×)     1 hour  5 minutes
//	critical  5 % (6 ×)        6 hours 30 minutes
//	warning   10 % (3 ×)       1 day   2 hours
//	warning   10 % (1 ×)       3 days  6 hours
//
// With an Availability it also has the guide's HighErrorRate, for each endpoint
// above 5 % in 5 minutes, in its corrected form: the guide's divides each failing
// series by itself, which is always 1, so that the first failure fires.
//
// Mind that shares of few requests are coarse: one failure among fifty in an hour is
// 2 %, which at an objective of 99.9 % wakes somebody. And Prometheus sees no increase
// in the first sample of a series: a status' first failure in each replica is not seen.
//
// It returns all that is wrong with the SLO at once.
func Rules(slo SLO) ([]byte, error) {
	if err := slo.check(); err != nil {
		return nil, err
	}
	if slo.Expected == nil {
		slo.Expected = reqstate.Protections()
	}
	w := new(ruleWriter)
	w.line(0, "# By metrics.Rules of github.com/ballast-go/ballast; do not edit.")
	w.line(0, "groups:")
	w.line(0, "- name: "+quoted("slo-"+slo.Name))
	w.line(2, "interval: 30s")
	w.line(2, "rules:")
	if slo.Availability > 0 {
		slo.budget(w, "slo:http_request_errors:ratio_rate", "HTTPErrorBudgetBurn", "failed", slo.Availability, slo.errorRatio)
		slo.highErrorRate(w)
	}
	if slo.Latency > 0 {
		slo.budget(w, "slo:http_request_slow:ratio_rate", "HTTPLatencyBudgetBurn", "took more than "+slo.Latency.String(), slo.LatencyObjective, slo.slowRatio)
	}
	return []byte(w.String()), nil
}

// burns are the alerts, as in the SRE workbook, table 5-8.
var burns = [...]struct {
	severity, long, short string
	factor                string
}{
	{"critical", "1h", "5m", "14.4"},
	{"critical", "6h", "30m", "6"},
	{"warning", "1d", "2h", "3"},
	{"warning", "3d", "6h", "1"},
}

var windows = [...]string{"5m", "30m", "1h", "2h", "6h", "1d", "3d"}

// budget writes the recording rules and the alerts of one promise.
func (s *SLO) budget(w *ruleWriter, record, alert, what string, objective float64, ratio func(window string) []string) {
	for _, window := range windows {
		w.line(2, "- record: "+record+window)
		w.expr(ratio(window))
		w.pairs("labels", map[string]string{"slo": s.Name}, nil)
	}
	limit := " * (1 - " + strconv.FormatFloat(objective, 'f', -1, 64) + ")"
	selector := "{slo=" + strconv.QuoteToASCII(s.Name) + "}"
	for _, b := range burns {
		w.line(2, "- alert: "+alert)
		w.expr([]string{
			record + b.long + selector + " > " + b.factor + limit,
			"and",
			record + b.short + selector + " > " + b.factor + limit,
		})
		w.pairs("labels", map[string]string{"severity": b.severity, "window": b.long}, s.Labels)
		w.pairs("annotations", map[string]string{
			"summary": "SLO " + s.Name + " uses up its budget",
			"description": "{{ $value | humanizePercentage }} of the requests of the last " + b.long + " " + what +
				", " + b.factor + " times what the objective of " + strconv.FormatFloat(objective*100, 'g', 7, 64) + " % allows, or more.",
		}, s.Annotations)
	}
}

func (s *SLO) highErrorRate(w *ruleWriter) {
	by := "endpoint"
	if s.Names == OTel {
		by = "http_route"
	}
	w.line(2, "- alert: HighErrorRate")
	expr := s.ratio("5m", "sum by ("+by+") ")
	w.expr(append(expr, "> 0.05"))
	w.line(4, "for: 5m")
	w.pairs("labels", map[string]string{"severity": "critical", "slo": s.Name}, s.Labels)
	w.pairs("annotations", map[string]string{
		"summary":     "High error rate on {{ $labels." + by + " }}",
		"description": "Error rate is {{ $value | humanizePercentage }} on {{ $labels." + by + " }}",
	}, s.Annotations)
}

func (s *SLO) errorRatio(window string) []string { return s.ratio(window, "sum") }

// ratio is 0 while there are requests and no failures, whose series begin with the first.
func (s *SLO) ratio(window, sum string) []string {
	reasons := regexpOf(s.Expected)
	var failed, all string
	if s.Names == OTel {
		const name = "http_server_request_duration_seconds"
		unexpected := matcher("error_type", "!~", reasons)
		failed = sum + "(" + s.count(name, window, `error_type!=""`, unexpected) + ")"
		all = sum + "(" + s.count(name, window, `http_response_status_code!~"401|403|429"`, unexpected) + ")"
	} else {
		unexpected := matcher("reason", "!~", reasons)
		failed = sum + "(rate(http_requests_total" + s.selector(`status=~"5.."`, unexpected) + "[" + window + "]))"
		all = sum + "(rate(http_requests_total" + s.selector(`status!~"401|403|429"`, unexpected) + "[" + window + "]))"
	}
	return []string{"(" + failed, "or", "0 * " + all + ")", "/", all}
}

// count returns the rate of a histogram's observations.
func (s *SLO) count(name, window string, matchers ...string) string {
	if s.NativeHistograms {
		return "histogram_count(rate(" + name + s.selector(matchers...) + "[" + window + "]))"
	}
	return "rate(" + name + "_count" + s.selector(matchers...) + "[" + window + "])"
}

func (s *SLO) slowRatio(window string) []string {
	name, matchers := "http_request_duration_seconds", []string(nil)
	if s.Names == OTel {
		name, matchers = "http_server_request_duration_seconds", []string{`error_type=""`}
	}
	bound := strconv.FormatFloat(s.Latency.Seconds(), 'f', -1, 64)
	if s.NativeHistograms {
		return []string{"1 - histogram_fraction(0, " + bound + ", sum(rate(" + name + s.selector(matchers...) + "[" + window + "])))"}
	}
	le := regexp.QuoteMeta(bound)
	if !strings.Contains(bound, ".") {
		le += "|" + le + `\.0` // as OpenMetrics writes it
	}
	fast := s.selector(append(matchers, matcher("le", "=~", le))...)
	return []string{
		"1 - sum(rate(" + name + "_bucket" + fast + "[" + window + "]))",
		"/",
		"sum(rate(" + name + "_count" + s.selector(matchers...) + "[" + window + "]))",
	}
}

// selector returns the label matchers of the SLO and others, in braces.
func (s *SLO) selector(others ...string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(s.Matchers)) {
		all = append(all, matcher(name, "=", s.Matchers[name]))
	}
	for _, m := range others {
		if m != "" {
			all = append(all, m)
		}
	}
	if len(all) == 0 {
		return ""
	}
	return "{" + strings.Join(all, ",") + "}"
}

// matcher returns "" for a pattern that would match the absence of a label.
func matcher(name, op, value string) string {
	if op == "!~" && value == "" {
		return ""
	}
	return name + op + strconv.QuoteToASCII(value) // PromQL's escapes are Go's
}

func regexpOf(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = regexp.QuoteMeta(word)
	}
	return strings.Join(quoted, "|")
}

var (
	sloName   = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
)

func (s *SLO) check() error {
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("metrics: SLO."+field+": "+format, args...))
	}
	if !sloName.MatchString(s.Name) {
		wrong("Name", "%q is not 1 to 64 of [a-zA-Z0-9_-]", s.Name)
	}
	share := func(field string, v float64) {
		if !(v >= 0.94 && v <= 0.99999) {
			wrong(field, "%v is not between 0.94 and 0.99999", v)
		}
	}
	if s.Availability != 0 {
		share("Availability", s.Availability)
	}
	if s.Names > OTel {
		wrong("Names", "%v is neither Guide nor OTel", s.Names)
	}
	switch {
	case s.Latency != 0 || s.LatencyObjective != 0:
		share("LatencyObjective", s.LatencyObjective)
		bounds := guideDurations
		if s.Names == OTel {
			bounds = otelDurations
		}
		if !slices.Contains(bounds, s.Latency.Seconds()) {
			wrong("Latency", "%v is no bound of the histogram, %v s", s.Latency, bounds)
		}
	case s.Availability == 0:
		wrong("Availability", "and Latency: nothing is promised")
	}
	for _, reason := range s.Expected {
		if reason == "" || !utf8.ValidString(reason) {
			wrong("Expected", "%q is no reason", reason)
		}
	}
	errs = append(errs, checkPairs("Matchers", s.Matchers, "le", "reason", "status", "error_type", "http_response_status_code")...)
	errs = append(errs, checkPairs("Labels", s.Labels, "alertname", "severity", "slo", "window")...)
	errs = append(errs, checkPairs("Annotations", s.Annotations)...)
	return errors.Join(errs...)
}

func checkPairs(field string, pairs map[string]string, taken ...string) (errs []error) {
	for _, name := range slices.Sorted(maps.Keys(pairs)) {
		switch {
		case !labelName.MatchString(name) || strings.HasPrefix(name, "__"):
			errs = append(errs, fmt.Errorf("metrics: SLO.%s: %q is no name", field, name))
		case slices.Contains(taken, name):
			errs = append(errs, fmt.Errorf("metrics: SLO.%s: %s is the rules' own", field, name))
		case !utf8.ValidString(pairs[name]):
			errs = append(errs, fmt.Errorf("metrics: SLO.%s: %s: %q is not valid UTF-8", field, name, pairs[name]))
		}
	}
	return errs
}

// A ruleWriter writes the YAML of a rule file. All that is not the program's own is
// quoted to printable ASCII.
type ruleWriter struct{ strings.Builder }

func (w *ruleWriter) line(indent int, text string) {
	w.WriteString(strings.Repeat(" ", indent))
	w.WriteString(text)
	w.WriteByte('\n')
}

func (w *ruleWriter) expr(lines []string) {
	w.line(4, "expr: |")
	for _, l := range lines {
		w.line(6, l)
	}
}

// pairs writes a mapping, of which others never replace own.
func (w *ruleWriter) pairs(name string, own, others map[string]string) {
	all := maps.Clone(others)
	if all == nil {
		all = make(map[string]string)
	}
	maps.Copy(all, own)
	if name == "annotations" {
		maps.Copy(all, others) // a summary of one's own is welcome
	}
	w.line(4, name+":")
	for _, k := range slices.Sorted(maps.Keys(all)) {
		w.line(6, k+": "+quoted(all[k]))
	}
}

// quoted returns s as a YAML double-quoted scalar (YAML 1.2 §7.3.1), whose escapes
// are a superset of those that Go needs for valid UTF-8.
func quoted(s string) string { return strconv.QuoteToASCII(s) }
