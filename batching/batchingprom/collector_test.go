package batchingprom_test

import (
	_ "embed"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/ballast-go/ballast/batching"
	"github.com/ballast-go/ballast/batching/batchingprom"
)

// everything has another number in each field.
var everything = batching.Stats{
	Name:      "digits",
	Submitted: 1, // not shown: it is the sum of others
	Answered:  100, Failed: 101, TimedOut: 102, CancelledQueued: 103, CancelledRunning: 104,
	RejectedFull: 105, Shed: 106, RejectedClosed: 107, Displaced: 108, Expired: 109, Aborted: 110,
	Batches: 2, // not shown: it is the sum of seals
	Items:   120, Padding: 121, Panics: 122, Timeouts: 123, HookPanics: 124,
	MaxQueue: 133, Queued: 130, Running: 131, Busy: 3, Hung: 132, // Busy is the sum of instances
	Saturation: 0.75,
	Seals:      batching.Seals{Full: 140, Idle: 141, Linger: 142, Deadline: 143, Close: 144},
	Instances: []batching.InstanceStats{
		{Batches: 150, BusyTime: 151500 * time.Millisecond, Busy: true, Model: batching.CostModel{
			Fixed: 200 * time.Microsecond, PerUnit: 2 * time.Microsecond, Residual: 3 * time.Nanosecond,
		}},
		{Batches: 152, BusyTime: 153 * time.Second},
	},
	BatchSize: batching.Histogram{Bounds: []float64{1, 2, 3}, Counts: []uint64{5, 0, 7, 0}, Sum: 26},
	QueueWait: batching.Histogram{Bounds: []float64{0.001, 0.002}, Counts: []uint64{1, 2, 4}, Sum: 12.5},
	RunTime: []batching.RunTime{
		{MaxSize: 1, Seconds: batching.Histogram{Bounds: []float64{0.5}, Counts: []uint64{0, 6}, Sum: 60}},
		{MaxSize: 3, Seconds: batching.Histogram{Bounds: []float64{0.5}, Counts: []uint64{8, 0}, Sum: 0.125}},
	},
}

// exposition is the page of everything, by hand.
//
//go:embed testdata/exposition.txt
var exposition string

func TestExposition(t *testing.T) {
	s := &source{stats: everything}
	r := registryOf(t, s)
	s.asked = 0
	if got := page(t, r); got != exposition {
		t.Errorf("got:\n%s\nwant:\n%s", got, exposition)
	}
	if s.asked != 1 {
		t.Errorf("a scrape took %d snapshots, want one", s.asked)
	}
}

// Before anything has happened there are all series but those that the
// batcher's shape makes.
func TestZeroStats(t *testing.T) {
	for name, v := range samples(t, page(t, registryOf(t, &source{}))) {
		if v != 0 {
			t.Errorf("%s is %v", name, v)
		}
	}
}

func TestSeveralBatchers(t *testing.T) {
	a, b := &source{stats: everything}, &source{stats: everything}
	b.stats.Name, b.stats.Items = "letters", 7
	r := registryOf(t, a, b)
	got := samples(t, page(t, r))
	if got[`batching_items_total{batcher="digits"}`] != 120 || got[`batching_items_total{batcher="letters"}`] != 7 {
		t.Errorf("items of two batchers: %v", got)
	}

	var already prometheus.AlreadyRegisteredError
	replacement := batchingprom.NewCollector(&source{stats: batching.Stats{Name: "letters", Items: 8}})
	if err := r.Register(replacement); !errors.As(err, &already) {
		t.Fatalf("a second batcher of the same name: %v", err)
	}
	r.Unregister(already.ExistingCollector)
	r.MustRegister(replacement)
	if got := samples(t, page(t, r))[`batching_items_total{batcher="letters"}`]; got != 8 {
		t.Errorf("the replacement shows %v items", got)
	}
}

func TestWrapped(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	prometheus.WrapRegistererWith(prometheus.Labels{"model_id": "digits-1"}, r).
		MustRegister(batchingprom.NewCollector(&source{stats: everything}))
	if got := samples(t, page(t, r))[`batching_items_total{batcher="digits",model_id="digits-1"}`]; got != 120 {
		t.Errorf("%v items", got)
	}
}

// A name is any string, and a label value is not.
func TestNames(t *testing.T) {
	r := registryOf(t, &source{stats: batching.Stats{Name: "a \"quoted\"\nname"}})
	if _, ok := samples(t, page(t, r))[`batching_items_total{batcher="a \"quoted\"\nname"}`]; !ok {
		t.Error("no series with a name that needs escapes")
	}
	if err := r.Register(batchingprom.NewCollector(&source{stats: batching.Stats{Name: "\xff"}})); err == nil {
		t.Error("a name that is not UTF-8 was registered")
	}
}

func TestPromlint(t *testing.T) {
	problems, err := promlint.New(strings.NewReader(exposition)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// promtool runs Prometheus's own tool, and fails t if it has anything to say.
func promtool(t *testing.T, stdin string, args ...string) {
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
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %v: %v\n%s", args, err, out)
	}
}

func TestPromtool(t *testing.T) {
	promtool(t, exposition, "check", "metrics")
}

// queries has Prometheus run each query of the package comment on series whose
// answer is known.
//
//go:embed testdata/queries.yml
var queries string

func TestQueries(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(doc), "// # Queries\n")
	section, _, _ = strings.Cut(section, "\n// # ")
	documented := 0
	for line := range strings.Lines(section) {
		query, ok := strings.CutPrefix(line, "//\t")
		if !ok {
			continue
		}
		documented++
		if !strings.Contains(queries, "- expr: '"+strings.TrimSpace(query)+"'\n") {
			t.Errorf("not tested: %s", query)
		}
	}
	if tested := strings.Count(queries, "- expr: "); documented != tested {
		t.Errorf("%d queries are documented, %d tested", documented, tested)
	}
	promtool(t, "", "test", "rules", "testdata/queries.yml")
}
