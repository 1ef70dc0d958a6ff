package breakerprom_test

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// exposition is the page of TestExposition, by hand.
//
//go:embed testdata/exposition.txt
var exposition string

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

// documented returns the indented lines of a section of the package comment.
func documented(t *testing.T, section string) (lines []string) {
	t.Helper()
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(doc), "// # "+section+"\n")
	if !found {
		t.Fatalf("the package comment has no section %q", section)
	}
	text, _, _ = strings.Cut(text, "\n// # ")
	for line := range strings.Lines(text) {
		if line, ok := strings.CutPrefix(line, "//\t"); ok {
			lines = append(lines, line)
		}
	}
	return lines
}

// queries has Prometheus run each query of the package comment on series whose
// answer is known.
//
//go:embed testdata/queries.yml
var queries string

func TestQueries(t *testing.T) {
	lines := documented(t, "Queries")
	for _, query := range lines {
		if !strings.Contains(queries, "- expr: '"+strings.TrimSpace(query)+"'\n") {
			t.Errorf("not tested: %s", query)
		}
	}
	if tested := strings.Count(queries, "- expr: "); len(lines) != tested {
		t.Errorf("%d queries are documented, %d tested", len(lines), tested)
	}
	promtool(t, "", "test", "rules", "testdata/queries.yml")
}

// alerts has Prometheus evaluate the package comment's alerts, which are its
// rules.yml.
//
//go:embed testdata/alerts.yml
var alerts string

func TestAlerts(t *testing.T) {
	lines := documented(t, "Alerts")
	for _, line := range lines {
		if _, name, ok := strings.Cut(line, "- alert: "); ok && strings.Count(alerts, "alertname: "+strings.TrimSpace(name)+"\n") < 2 {
			t.Errorf("not tested both ways: %s", name)
		}
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"rules.yml": strings.Join(lines, ""), "alerts.yml": alerts} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	promtool(t, "", "check", "rules", filepath.Join(dir, "rules.yml"))
	promtool(t, "", "test", "rules", filepath.Join(dir, "alerts.yml"))
}
