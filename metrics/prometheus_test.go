//go:build unix

package metrics_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ballast-go/ballast/metrics"
	"github.com/prometheus/client_golang/prometheus"
)

// A real Prometheus scrapes classic and native histograms and their exemplars, and
// evaluates every expression of Rules on them.
func TestPrometheus(t *testing.T) {
	for _, native := range []bool{false, true} {
		for _, names := range []metrics.Names{metrics.Guide, metrics.OTel} {
			t.Run(fmt.Sprintf("%v native=%t", names, native), func(t *testing.T) {
				t.Parallel()
				againstPrometheus(t, names, native)
			})
		}
	}
}

func againstPrometheus(t *testing.T, names metrics.Names, native bool) {
	m := mustNew(t, metrics.Config{Names: names, NativeHistograms: native, Registerer: prometheus.NewRegistry()})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ok", func(http.ResponseWriter, *http.Request) {})
	mux.Handle("GET /bad", turnedAway(500, ""))
	mux.Handle("GET /shed", turnedAway(503, "shed"))
	handler := traced(true, metrics.Middleware(m, metrics.MiddlewareConfig{})(mux))
	load := func() { // of what Prometheus did not scrape: at each scrape there is more
		for _, path := range []string{"/ok", "/ok", "/ok", "/bad", "/shed"} {
			handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
		}
	}
	load()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		load()
		m.Handler().ServeHTTP(w, r)
	}))
	defer page.Close()

	slo := promise(names)
	slo.NativeHistograms = native
	p := startPrometheus(t, page.Listener.Addr().String(), mustRules(t, slo))

	duration := "http_request_duration_seconds"
	if names == metrics.OTel {
		duration = "http_server_request_duration_seconds"
	}
	count := "sum(rate(" + duration + "_count[5m]))"
	if native {
		count = "sum(histogram_count(rate(" + duration + "[5m])))"
	}
	p.await(t, count+" > 0") // two scrapes were stored

	for _, e := range p.expressions(t) {
		samples := p.query(t, e)
		if strings.HasPrefix(e, "slo:") { // alerts, on records that the first evaluation of the group makes
			continue
		}
		if len(samples) == 0 {
			t.Errorf("nothing from %s", e)
		}
	}
	within := func(expr string, low, high float64) {
		t.Helper()
		samples := p.query(t, expr)
		if len(samples) != 1 || samples[0] < low || samples[0] > high {
			t.Errorf("%s is %v, want %v to %v", expr, samples, low, high)
		}
	}
	rules := p.expressions(t)
	within(rules[0], 0.249, 0.251) // one of four that were let in
	for _, e := range rules {
		if strings.HasPrefix(e, "1 - ") {
			within(e, -1e-9, 0.001) // none is slow
			break
		}
	}
	if native {
		within("sum(histogram_quantile(0.9, sum(rate("+duration+"[5m]))))", 0, 0.1)
	}
	buckets := duration + "_bucket"
	if native {
		buckets = duration
	}
	if traces := p.exemplars(t, buckets); !strings.Contains(traces, "ab0000000000000000000000000000cd") {
		t.Errorf("no exemplar: %s", traces)
	}
}

type prometheusServer struct{ url string }

func startPrometheus(t *testing.T, target string, rules []byte) *prometheusServer {
	t.Helper()
	path, err := exec.LookPath("prometheus")
	if err != nil {
		if ci := os.Getenv("CI"); ci == "true" || ci == "1" {
			t.Fatal("CI has no prometheus on its PATH")
		}
		t.Skip("prometheus is not on the PATH")
	}
	dir := t.TempDir()
	config := fmt.Sprintf("global: {scrape_interval: 250ms}\nrule_files: [rules.yaml]\n"+
		"scrape_configs:\n- job_name: serving\n  static_configs: [{targets: ['%s']}]\n", target)
	for name, content := range map[string][]byte{"prometheus.yml": []byte(config), "rules.yaml": rules} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	var log logBuffer
	cmd := exec.Command(path, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--enable-feature=native-histograms,exemplar-storage")
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return &prometheusServer{"http://" + address}
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (p *prometheusServer) get(path string, values url.Values, into any) error {
	resp, err := http.Get(p.url + path + "?" + values.Encode())
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, body)
	}
	return json.Unmarshal(body, into)
}

// try returns the values that an expression gives.
func (p *prometheusServer) try(expr string) (values []float64, err error) {
	var answer struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	if err := p.get("/api/v1/query", url.Values{"query": {expr}}, &answer); err != nil {
		return nil, err
	}
	for _, r := range answer.Data.Result {
		var v float64
		if s, ok := r.Value[1].(string); ok {
			if _, err := fmt.Sscan(s, &v); err != nil {
				return nil, fmt.Errorf("%s: %q", expr, s)
			}
		}
		values = append(values, v)
	}
	return values, nil
}

func (p *prometheusServer) query(t *testing.T, expr string) []float64 {
	t.Helper()
	values, err := p.try(expr)
	if err != nil {
		t.Errorf("%s: %v", expr, err)
	}
	return values
}

func (p *prometheusServer) await(t *testing.T, expr string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		values, err := p.try(expr)
		if err == nil && len(values) > 0 {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s: %v, %v after 30 s", expr, values, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// expressions returns those of the rules, as Prometheus has understood them.
func (p *prometheusServer) expressions(t *testing.T) (all []string) {
	t.Helper()
	var answer struct {
		Data struct {
			Groups []struct{ Rules []struct{ Query string } }
		}
	}
	if err := p.get("/api/v1/rules", nil, &answer); err != nil {
		t.Fatal(err)
	}
	for _, g := range answer.Data.Groups {
		for _, r := range g.Rules {
			all = append(all, r.Query)
		}
	}
	if len(all) != 23 {
		t.Fatalf("%d rules, want 23", len(all))
	}
	return all
}

func (p *prometheusServer) exemplars(t *testing.T, name string) string {
	t.Helper()
	var answer struct{ Data json.RawMessage }
	now := time.Now()
	err := p.get("/api/v1/query_exemplars", url.Values{
		"query": {name}, "start": {now.Add(-time.Minute).Format(time.RFC3339)}, "end": {now.Add(time.Minute).Format(time.RFC3339)},
	}, &answer)
	if err != nil {
		t.Error(err)
	}
	return string(answer.Data)
}
