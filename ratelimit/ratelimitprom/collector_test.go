package ratelimitprom_test

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

	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/ratelimit/concurrency"
	"github.com/ballast-go/ballast/ratelimit/ratelimitprom"
)

// Each field has another number.
var (
	keys = ratelimit.Stats{
		Capacity: 101, Keys: 102,
		Allowed: 103, Denied: 104, Overflow: 105, Reused: 106,
	}
	permits = concurrency.Stats{
		Limit: 201, Max: 202, InFlight: 203,
		Queued:   1, // not shown: it is the sum of the classes'
		MaxQueue: 204, MaxBytes: 205, BytesInFlight: 206,
		Acquired: 207, PressurePanics: 208,
		Pressure: 0.25, Latency: 1500 * time.Millisecond, Baseline: 250 * time.Microsecond,
		Classes: [4]concurrency.ClassStats{
			{Class: concurrency.CriticalPlus, QueueFull: 310, Shed: 311, Displaced: 312, TimedOut: 313, Gone: 314, TooLarge: 315, Queued: 316},
			{Class: concurrency.Critical, QueueFull: 320, Shed: 321, Displaced: 322, TimedOut: 323, Gone: 324, TooLarge: 325, Queued: 326},
			{Class: concurrency.SheddablePlus, QueueFull: 330, Shed: 331, Displaced: 332, TimedOut: 333, Gone: 334, TooLarge: 335, Queued: 336},
			{Class: concurrency.Sheddable, QueueFull: 340, Shed: 341, Displaced: 342, TimedOut: 343, Gone: 344, TooLarge: 345, Queued: 346},
		},
	}
)

// exposition is the page of both, by hand.
//
//go:embed testdata/exposition.txt
var exposition string

func TestExposition(t *testing.T) {
	a, b := &source[ratelimit.Stats]{stats: keys}, &source[concurrency.Stats]{stats: permits}
	r := registryOf(t, ratelimitprom.NewCollector("api", a), ratelimitprom.NewConcurrencyCollector("backend", b))
	if a.asked+b.asked != 0 {
		t.Error("snapshots were taken before a scrape")
	}
	if got := page(t, r); got != exposition {
		t.Errorf("got:\n%s\nwant:\n%s", got, exposition)
	}
	if a.asked != 1 || b.asked != 1 {
		t.Errorf("a scrape took %d and %d snapshots, want one each", a.asked, b.asked)
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

// Two limiters of each kind, and one that takes the place of another.
func TestSeveralLimiters(t *testing.T) {
	more, others := keys, permits
	more.Allowed, others.Acquired = 7, 8
	r := registryOf(t,
		ratelimitprom.NewCollector("api", &source[ratelimit.Stats]{stats: keys}),
		ratelimitprom.NewCollector("images", &source[ratelimit.Stats]{stats: more}),
		ratelimitprom.NewConcurrencyCollector("api", &source[concurrency.Stats]{stats: permits}),
		ratelimitprom.NewConcurrencyCollector("images", &source[concurrency.Stats]{stats: others}),
	)
	want(t, r, map[string]float64{
		`ratelimit_calls_total{limiter="api",outcome="allowed"}`:    103,
		`ratelimit_calls_total{limiter="images",outcome="allowed"}`: 7,
		`concurrency_permits_total{limiter="api"}`:                  207,
		`concurrency_permits_total{limiter="images"}`:               8,
	})
	for _, replacement := range []prometheus.Collector{
		ratelimitprom.NewCollector("api", &source[ratelimit.Stats]{}),
		ratelimitprom.NewConcurrencyCollector("api", &source[concurrency.Stats]{stats: permits}),
	} {
		var already prometheus.AlreadyRegisteredError
		if err := r.Register(replacement); !errors.As(err, &already) {
			t.Fatalf("a second limiter of the same name: %v", err)
		}
		r.Unregister(already.ExistingCollector)
		r.MustRegister(replacement)
	}
	want(t, r, map[string]float64{`ratelimit_calls_total{limiter="api",outcome="allowed"}`: 0})
}

func TestNames(t *testing.T) {
	r := registryOf(t, ratelimitprom.NewCollector("a \"quoted\"\nname", &source[ratelimit.Stats]{stats: keys}))
	want(t, r, map[string]float64{`ratelimit_keys{limiter="a \"quoted\"\nname"}`: 102})
	if err := r.Register(ratelimitprom.NewCollector("\xff", &source[ratelimit.Stats]{})); err == nil {
		t.Error("a name that is not UTF-8 was registered")
	}
}

// The figures in the package comment.
func TestNumberOfSeries(t *testing.T) {
	for _, tt := range []struct {
		c    prometheus.Collector
		want int
	}{
		{ratelimitprom.NewCollector("", &source[ratelimit.Stats]{}), 6},
		{ratelimitprom.NewConcurrencyCollector("", &source[concurrency.Stats]{stats: permits}), 39},
	} {
		if n := len(samples(t, page(t, registryOf(t, tt.c)))); n != tt.want {
			t.Errorf("%d series, want %d", n, tt.want)
		}
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
