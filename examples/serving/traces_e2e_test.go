//go:build unix

package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ballast-go/ballast/examples/serving/internal/digits"
)

// collectorConfig has it listen on free ports, which it logs.
const collectorConfig = `
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}}}}
exporters: {debug: {verbosity: detailed}}
service:
  pipelines: {traces: {receivers: [otlp], exporters: [debug]}}
  telemetry: {metrics: {level: none}}
`

var collectorListens = regexp.MustCompile(`Starting GRPC server\t.*"endpoint": "([0-9.:]+)"`)

// startCollector runs the OpenTelemetry Collector of the folder that
// BALLAST_OTELCOL names; without it the test is skipped. make integration builds
// it first. It returns the endpoint, and a function that ends it and returns what
// it printed.
func startCollector(t *testing.T) (endpoint string, stop func() string) {
	t.Helper()
	dir := os.Getenv("BALLAST_OTELCOL")
	if dir == "" {
		t.Skip("BALLAST_OTELCOL names no folder with otelcol: make integration does")
	}
	config := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(config, []byte(collectorConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	log := new(lockedBuffer)
	cmd := exec.Command(filepath.Join(dir, "otelcol"), "--config", config)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end := sync.OnceFunc(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	t.Cleanup(end)
	until(t, "the collector is ready", func() bool {
		text := log.String()
		found := collectorListens.FindStringSubmatch(text)
		if found == nil || !strings.Contains(text, "Everything is ready") {
			return false
		}
		endpoint = "http://" + found[1]
		return true
	})
	return endpoint, func() string {
		end()
		return log.String()
	}
}

// span is one that the collector printed.
type span struct {
	name, trace, id, parent string
	links                   []string // ids of spans
}

var (
	spanBlock = regexp.MustCompile(`(?m)^Span #\d+$`)
	spanField = regexp.MustCompile(`(?m)^ +(Name|Trace ID|ID|Parent ID) +: ?(.*)$`)
	spanLink  = regexp.MustCompile(`(?m)^ +-> ID: ([0-9a-f]+)$`)
)

func parseSpans(text string) map[string]span {
	all := make(map[string]span)
	for _, block := range spanBlock.Split(text, -1)[1:] {
		var s span
		for _, m := range spanField.FindAllStringSubmatch(block, -1) {
			field := map[string]*string{"Name": &s.name, "Trace ID": &s.trace, "ID": &s.id, "Parent ID": &s.parent}[m[1]]
			if *field == "" {
				*field = m[2]
			}
		}
		for _, m := range spanLink.FindAllStringSubmatch(block, -1) {
			s.links = append(s.links, m[1])
		}
		all[s.id] = s
	}
	return all
}

// A real collector is told what became of requests that shared batches: each has
// its steps, and its wait and its share of a batch, which links to all of them.
func TestTracesOfBatches(t *testing.T) {
	endpoint, stop := startCollector(t)
	p := startProgram(t, build(t), "-drain-delay=0", "-rate-limit=0", "-target-latency=0", "-linger=1s", "-max-batch=4",
		"-instances=1", "-trace-ratio=1", "-trace-endpoint="+endpoint)
	const requests = 8
	var wg sync.WaitGroup
	for range requests {
		wg.Go(func() {
			if _, err := p.predict(requestBody("", make([]float32, digits.InputSize))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	text := stop()
	all := parseSpans(text)
	children := make(map[string][]string) // names of the spans below one
	var batches, links, most int
	for _, s := range all {
		children[s.parent] = append(children[s.parent], s.name)
		if s.parent != "" && all[s.parent].trace != s.trace {
			t.Errorf("%+v is in another trace than its parent", s)
		}
		switch s.name {
		case "batch":
			batches++
			links += len(s.links)
			most = max(most, len(s.links))
			for _, id := range s.links {
				if all[id].name != "inference" {
					t.Errorf("a batch links to %+v", all[id])
				}
			}
		case "batch.queue", "batch.run":
			if len(s.links) != 1 || all[s.links[0]].name != "batch" || all[s.parent].name != "inference" {
				t.Errorf("%+v is of no batch, or of no request", s)
			}
		}
	}
	servers, inferences := 0, 0
	for _, s := range all {
		got := children[s.id]
		slices.Sort(got)
		switch s.name {
		case "POST /predict":
			servers++
			if !slices.Equal(got, []string{"inference", "postprocess", "preprocess"}) || s.parent != "" {
				t.Errorf("a request has the steps %q and the parent %q", got, s.parent)
			}
		case "inference":
			inferences++
			got = slices.DeleteFunc(got, func(name string) bool { return name == "batch" })
			if !slices.Equal(got, []string{"batch.queue", "batch.run"}) {
				t.Errorf("an inference has %q", got)
			}
		}
	}
	if servers != requests || inferences != requests || links != requests || batches == 0 || most < 2 {
		t.Errorf("%d requests, %d inferences, %d batches, %d links, %d at most:\n%s", servers, inferences, batches, links, most, text)
	}
}

// With a collector that is down, or hangs, every request is answered, nothing
// grows, what is lost is counted, and the program ends in time, and well.
func TestTracesWithoutCollector(t *testing.T) {
	hangs, err := net.Listen("tcp", "127.0.0.1:0") // and never accepts
	if err != nil {
		t.Fatal(err)
	}
	defer hangs.Close()
	for name, endpoint := range map[string]string{"down": "http://127.0.0.1:1", "hangs": "http://" + hangs.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			p := startProgram(t, build(t), "-drain-delay=0", "-shutdown-timeout=5s", "-grace-period=10s", "-rate-limit=0", "-target-latency=0",
				"-default-model="+digits.Small, "-trace-ratio=1", "-trace-endpoint="+endpoint)
			// At least six spans a request, for a queue of 2048.
			const requests = 600
			body := requestBody("", make([]float32, digits.InputSize))
			var wg sync.WaitGroup
			next := make(chan struct{})
			for range 16 {
				wg.Go(func() {
					for range next {
						if _, err := p.predict(body); err != nil {
							t.Error(err)
						}
					}
				})
			}
			for range requests {
				next <- struct{}{}
			}
			close(next)
			wg.Wait()
			page := get(t, p.url+"/metrics")
			of := func(name string) float64 { return series(t, page, "tracingotlp_"+name) }
			if lost := of(`spans_total{outcome="dropped_full",provider="serving"}`); lost < 6*requests-2048-512 {
				t.Errorf("%v spans were dropped", lost)
			}
			if queued := of(`queue_spans{provider="serving"}`); queued < 1 || queued > 2048 || queued > of(`queue_capacity_spans{provider="serving"}`) {
				t.Errorf("%v spans are queued", queued)
			}
			if sent := of(`spans_total{outcome="exported",provider="serving"}`); sent != 0 {
				t.Errorf("%v spans were exported", sent)
			}
			if err := p.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			killed := time.AfterFunc(10*time.Second, func() { _ = p.Process.Kill() })
			defer killed.Stop()
			if err := p.Wait(); err != nil {
				t.Errorf("it ended with %v; the log:\n%.2000s", err, p.stdout)
			}
			if log := p.stdout.String(); !strings.Contains(log, "spans were not delivered") || !strings.Contains(log, `"message":"stopped"`) {
				t.Errorf("the log does not tell of them:\n%.2000s", log)
			}
		})
	}
}
