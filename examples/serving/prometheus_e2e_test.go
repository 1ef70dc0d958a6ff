//go:build unix

package main

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ballast-go/ballast/examples/serving/internal/digits"
)

// tool finds a program, or skips the test, or fails it in CI.
func tool(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if ci := os.Getenv("CI"); ci == "true" || ci == "1" {
		t.Fatalf("CI has no %s on its PATH", names[0])
	}
	t.Skipf("%s is not on the PATH", names[0])
	return ""
}

// The files in deploy/prometheus are what Prometheus and Alertmanager take, and
// the rules do what they say.
func TestDeployedRules(t *testing.T) {
	promtool, amtool := tool(t, "promtool"), tool(t, "amtool")
	for _, c := range [][]string{
		{promtool, "check", "rules", "--lint-fatal", "alerts.yml", "slo.yml"},
		{promtool, "check", "config", "--lint-fatal", "prometheus.yml"},
		{promtool, "test", "rules", "alerts_test.yml"},
		{amtool, "check-config", "alertmanager.yml"},
	} {
		cmd := exec.CommandContext(t.Context(), c[0], c[1:]...)
		cmd.Dir = filepath.Join("deploy", "prometheus")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", strings.Join(c[1:], " "), err, out)
		}
	}
}

// A real Prometheus scrapes the program, native histograms and exemplars
// included; its requests fail; the alert reaches a real Alertmanager.
func TestPrometheusAndAlertmanager(t *testing.T) {
	prometheus := tool(t, "prometheus")
	alertmanager, amtool := tool(t, "alertmanager", "prometheus-alertmanager"), tool(t, "amtool")

	// So many rows take longer than they may.
	p := startProgram(t, build(t), "-drain-delay=0", "-rate-limit=0", "-target-latency=0", "-request-timeout=1ms",
		"-native-histograms", "-trace-endpoint=http://127.0.0.1:1", "-trace-ratio=1")

	dir := t.TempDir()
	alerts := startServer(t, alertmanager, func(address string) []string {
		return []string{"--config.file", filepath.Join("deploy", "prometheus", "alertmanager.yml"), "--cluster.listen-address=",
			"--storage.path", filepath.Join(dir, "alertmanager"), "--web.listen-address", address}
	})
	scraper := startServer(t, prometheus, func(address string) []string {
		config := hurry(t, dir, strings.TrimPrefix(p.url, "http://"), strings.TrimPrefix(alerts, "http://"))
		return []string{"--config.file", config, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", address,
			"--enable-feature=native-histograms,exemplar-storage"}
	})

	rows := make([][]float32, 64)
	for i := range rows {
		rows[i] = make([]float32, digits.InputSize)
	}
	body := requestBody("", rows...)
	until(t, "the alert is there", func() bool {
		if _, err := p.predict(body); err == nil || !strings.Contains(err.Error(), "504") {
			t.Fatalf("a request was meant to time out: %v", err)
		}
		out, err := exec.CommandContext(t.Context(), amtool, "--alertmanager.url", alerts, "alert", "query", "alertname=HighErrorRate", "-o", "json").Output()
		return err == nil && strings.Contains(string(out), `"/predict"`) && strings.Contains(string(out), `"critical"`)
	})

	for _, query := range []string{
		`http_requests_total{endpoint="/predict",status="504"} > 0`,
		`histogram_count(http_request_duration_seconds{endpoint="/predict"}) > 0`,
		`histogram_quantile(0.5, sum(rate(http_request_duration_seconds{endpoint="/predict"}[5s]))) > 0.0005 < 5`,
		`up{job="serving"} == 1`,
	} {
		until(t, query+" has a value", func() bool { return len(queryFor(t, scraper, "/api/v1/query", query)) > 0 })
	}
	until(t, "exemplars have trace ids", func() bool {
		for _, one := range queryFor(t, scraper, "/api/v1/query_exemplars", `http_request_duration_seconds`) {
			if strings.Contains(string(one), `"trace_id":"`) {
				return true
			}
		}
		return false
	})
}

// hurry copies the configuration into dir, for a target that changes by the second.
func hurry(t *testing.T, dir, target, alertmanager string) string {
	t.Helper()
	faster := strings.NewReplacer("interval: 15s", "interval: 200ms", "interval: 30s", "interval: 200ms",
		"[5m]", "[5s]", "for: 5m", "for: 500ms", "127.0.0.1:8080", target, "127.0.0.1:9093", alertmanager)
	for _, name := range []string{"prometheus.yml", "alerts.yml", "slo.yml"} {
		text, err := os.ReadFile(filepath.Join("deploy", "prometheus", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(faster.Replace(string(text))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "prometheus.yml")
}

// startServer starts one of Prometheus's servers, for as long as the test, and
// returns its URL.
func startServer(t *testing.T, path string, args func(address string) []string) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	log := new(lockedBuffer)
	cmd := exec.Command(path, args(address)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(path), log)
		}
	})
	until(t, path+" is ready", func() bool {
		resp, err := http.Get("http://" + address + "/-/ready")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == 200
	})
	return "http://" + address
}

// queryFor returns what Prometheus has to say to a query.
func queryFor(t *testing.T, server, path, query string) []json.RawMessage {
	t.Helper()
	q := url.Values{"query": {query}, "start": {"0"}, "end": {strconv.Itoa(1 << 33)}}
	var got struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal([]byte(get(t, server+path+"?"+q.Encode())), &got); err != nil {
		t.Fatal(err)
	}
	if got.Status != "success" {
		t.Fatalf("%s: %s", query, got.Error)
	}
	var list []json.RawMessage
	if json.Unmarshal(got.Data, &list) != nil {
		var result struct{ Result []json.RawMessage }
		if err := json.Unmarshal(got.Data, &result); err != nil {
			t.Fatal(err)
		}
		list = result.Result
	}
	return list
}
