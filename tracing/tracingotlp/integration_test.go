package tracingotlp_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ballast-go/ballast/tracing/tracingotlp"
)

// Its ports are free ones, which it logs.
const collectorConfig = `
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}, http: {endpoint: "127.0.0.1:0"}}}}
exporters: {debug: {verbosity: detailed}}
service:
  pipelines: {traces: {receivers: [otlp], exporters: [debug]}}
  telemetry: {metrics: {level: none}}
`

// startCollector runs the OpenTelemetry Collector of the folder that
// BALLAST_OTELCOL names; without it the test is skipped. make integration builds
// it first. It returns the endpoint, and a function that ends it and returns
// what it printed.
func startCollector(t *testing.T, protocol tracingotlp.Protocol) (endpoint string, stop func() string) {
	t.Helper()
	dir := os.Getenv("BALLAST_OTELCOL")
	if dir == "" {
		t.Skip("BALLAST_OTELCOL names no folder with otelcol: make integration does")
	}
	config, log := filepath.Join(t.TempDir(), "config.yaml"), filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(config, []byte(collectorConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(filepath.Join(dir, "otelcol"), "--config", config)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() string {
		if !stopped {
			stopped = true
			_ = cmd.Process.Signal(os.Interrupt)
			_ = cmd.Wait()
		}
		text, _ := os.ReadFile(log)
		return string(text)
	}
	t.Cleanup(func() { stop() })
	server := map[tracingotlp.Protocol]string{tracingotlp.GRPC: "GRPC", tracingotlp.HTTP: "HTTP"}[protocol]
	listens := regexp.MustCompile(`Starting ` + server + ` server\t.*"endpoint": "([0-9.:]+)"`)
	deadline := time.After(30 * time.Second)
	for {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		if found := listens.FindSubmatch(text); found != nil && strings.Contains(string(text), "Everything is ready") {
			return "http://" + string(found[1]), stop
		}
		select {
		case <-deadline:
			t.Fatalf("the collector does not start:\n%s", text)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

var (
	spanBlock = regexp.MustCompile(`(?m)^Span #\d+$`)
	nameLine  = regexp.MustCompile(`(?m)^ +Name +: (.*)$`)
	idLine    = regexp.MustCompile(`(?m)^ +ID +: ([0-9a-f]+)$`)
	linkLine  = regexp.MustCompile(`(?m)^ +-> ID: ([0-9a-f]+)$`)
)

// The OpenTelemetry Collector has all spans, and shows whom a batch was for.
func TestCollector(t *testing.T) {
	each(t, func(t *testing.T, protocol tracingotlp.Protocol) {
		endpoint, stop := startCollector(t, protocol)
		p, log := provider(t, tracingotlp.Config{Endpoint: endpoint, Protocol: protocol, Gzip: protocol == tracingotlp.HTTP})
		serve(t, p)
		closed(t, p)
		if log.String() != "" {
			t.Error(log)
		}
		const all = 5*members + 1
		check(t, p, tracingotlp.Stats{Ended: all, Exported: all, Requests: 1})
		text := stop()
		servers, links, found := make(map[string]bool), []string(nil), 0
		for _, block := range spanBlock.Split(text, -1)[1:] {
			found++
			switch name := nameLine.FindStringSubmatch(block)[1]; name {
			case "POST /double/{n}":
				servers[idLine.FindStringSubmatch(block)[1]] = true
			case "batch":
				for _, l := range linkLine.FindAllStringSubmatch(block, -1) {
					links = append(links, l[1])
				}
			}
		}
		if found != all || len(servers) != members || len(links) != members {
			t.Errorf("it shows %d spans, %d of them servers', and %d links, want %d, %d, %d:\n%s", found, len(servers), len(links), all, members, members, text)
		}
		for _, l := range links {
			if !servers[l] {
				t.Errorf("the batch links to %s, which is no server's span", l)
			}
		}
		for _, want := range []string{"service.name: Str(test)", "telemetry.sdk.language: Str(go)", "service.instance.id: Str("} {
			if !strings.Contains(text, want) {
				t.Errorf("it does not show %q", want)
			}
		}
	})
}
