package healthprom_test

import (
	"context"
	_ "embed"
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/ballast-go/ballast/health"
	"github.com/ballast-go/ballast/health/healthprom"
)

// source stands for a Health whose numbers are known.
type source struct {
	stats health.Stats
	asked int
}

func (s *source) Stats() health.Stats {
	s.asked++
	return s.stats
}

// page returns what a Prometheus that asks for text gets.
func page(t testing.TB, r *prometheus.Registry) string {
	t.Helper()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(r, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("scrape: status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// exposition is the page of TestExposition, by hand.
//
//go:embed testdata/exposition.txt
var exposition string

func TestExposition(t *testing.T) {
	s := &source{stats: health.Stats{
		State: health.StateDegraded, Live: true, Started: true, Ready: true,
		Checks: []health.CheckStats{
			{Name: "model", Kind: health.KindStartup, OK: true, Runs: 2, Failures: 1, Took: 1500 * time.Millisecond},
			{Name: "gpu", Kind: health.KindReadiness, OK: true, Runs: 103, Failures: 4, Took: 2 * time.Millisecond},
			{Name: "redis", Kind: health.KindDependency, Runs: 101, Failures: 5, Took: 250 * time.Millisecond, Hung: true},
			{Name: "loop", Kind: health.KindLiveness, OK: true},
		},
	}}
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(healthprom.NewCollector(s))
	if s.asked != 0 {
		t.Error("a snapshot was taken before a scrape")
	}
	if got := page(t, r); got != exposition {
		t.Errorf("got:\n%s\nwant:\n%s", got, exposition)
	}
	if s.asked != 1 {
		t.Errorf("a scrape took %d snapshots, want one", s.asked)
	}
	var already prometheus.AlreadyRegisteredError
	if err := r.Register(healthprom.NewCollector(s)); !errors.As(err, &already) {
		t.Errorf("a second Health: %v", err)
	}
}

// What becomes of a real Health is what Prometheus sees.
func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var off atomic.Bool
		h, err := health.New(health.Config{
			Dependencies: []health.Dependency{{Name: "redis", Interval: time.Second, Func: func(context.Context) error {
				<-time.After(100 * time.Millisecond)
				if off.Load() {
					return errors.New("off")
				}
				return nil
			}}},
			DrainDelay: -1,
		})
		if err != nil {
			t.Fatal(err)
		}
		r := prometheus.NewPedanticRegistry()
		r.MustRegister(healthprom.NewCollector(h))
		want := func(lines ...string) {
			t.Helper()
			got := page(t, r)
			for _, line := range lines {
				if !strings.Contains(got, "\n"+line+"\n") {
					t.Errorf("the page has no %q:\n%s", line, got)
				}
			}
		}
		<-time.After(500 * time.Millisecond)
		want(`health_state{state="healthy"} 1`, `health_check_ok{check="redis",kind="dependency"} 1`,
			`health_check_duration_seconds{check="redis",kind="dependency"} 0.1`)
		off.Store(true)
		<-time.After(1100 * time.Millisecond)
		want(`health_state{state="degraded"} 1`, `health_state{state="healthy"} 0`, "health_ready 1",
			`health_check_ok{check="redis",kind="dependency"} 0`,
			`health_check_runs_total{check="redis",kind="dependency"} 2`,
			`health_check_failures_total{check="redis",kind="dependency"} 1`)
		h.Fatal(errors.New("dead"))
		want(`health_state{state="unhealthy"} 1`, "health_ready 0", "health_live 0", "health_started 1")
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
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

func TestPromtool(t *testing.T) { promtool(t, exposition, "check", "metrics") }

// alerts has Prometheus evaluate the package comment's alerts, which are its
// rules.yml.
//
//go:embed testdata/alerts.yml
var alerts string

func TestAlerts(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(doc), "// # Alerts\n")
	text, _, found := strings.Cut(text, "\n// # ")
	if !found {
		t.Fatal("the package comment has no alerts")
	}
	rules := ""
	for line := range strings.Lines(text) {
		if line, ok := strings.CutPrefix(line, "//\t"); ok {
			rules += line
		}
		if _, name, ok := strings.Cut(line, "- alert: "); ok && strings.Count(alerts, "alertname: "+strings.TrimSpace(name)+"\n") < 2 {
			t.Errorf("not tested both ways: %s", name)
		}
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"rules.yml": rules, "alerts.yml": alerts} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	promtool(t, "", "check", "rules", filepath.Join(dir, "rules.yml"))
	promtool(t, "", "test", "rules", filepath.Join(dir, "alerts.yml"))
}
