package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ballast-go/ballast/examples/serving/internal/digits"
)

const callers = 64

// program is the real binary in a process of its own.
type program struct {
	*exec.Cmd
	url    string
	stdout *lockedBuffer
	client *http.Client
}

func build(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("SIGTERM does not exist on Windows: the end-to-end tests run elsewhere")
	}
	bin := filepath.Join(t.TempDir(), "serving")
	args := []string{"build", "-o", bin}
	if raceEnabled {
		args = append(args, "-race")
	}
	if out, err := exec.CommandContext(t.Context(), "go", append(args, ".")...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

func startProgram(t *testing.T, bin string, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // kills it
	t.Cleanup(cancel)
	p := &program{
		Cmd:    exec.CommandContext(ctx, bin, append([]string{"-listen=127.0.0.1:0"}, args...)...),
		stdout: new(lockedBuffer),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}},
	}
	p.Env = slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, env) })
	p.Stdout = p.stdout
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		if m := bannerAddress.FindStringSubmatch(lines.Text()); m != nil {
			p.url = "http://" + m[1]
			go io.Copy(io.Discard, stderr)
			break
		}
	}
	if p.url == "" {
		t.Fatalf("it printed no address; the log:\n%s", p.stdout)
	}
	until(t, "it is ready", func() bool { return strings.Contains(get(t, p.url+"/readyz"), `"healthy"`) })
	return p
}

func (p *program) predict(body []byte) (*predictResponse, error) {
	resp, err := p.client.Post(p.url+"/predict", "application/json", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		// Not %w: a connection that is reset here lost an accepted request.
		return nil, fmt.Errorf("the answer broke off: %v", err)
	}
	if resp.StatusCode != 200 {
		return nil, fmt.Errorf("%s: %s", resp.Status, text)
	}
	got := new(predictResponse)
	return got, json.Unmarshal(text, got)
}

// series returns the value of a series by its name and labels, as written.
func series(t *testing.T, page, name string) float64 {
	t.Helper()
	for line := range strings.Lines(page) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("no series %s", name)
	return 0
}

// The whole service, as a user runs it: all held-out digits, 64 callers at a
// time, then SIGTERM in mid-flight.
func TestEndToEnd(t *testing.T) {
	// One instance, so that batches form however many cores there are.
	p := startProgram(t, build(t), "-drain-delay=200ms", "-instances=1", "-rate-limit=0")
	held, err := digits.HeldOut()
	if err != nil {
		t.Fatal(err)
	}
	bodies := make([][]byte, len(held))
	for i := range held {
		bodies[i] = requestBody("", held[i].Input())
	}
	before := get(t, p.url+"/metrics")

	var right atomic.Int64
	next := make(chan int)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for i := range next {
				got, err := p.predict(bodies[i])
				if err != nil {
					t.Errorf("digit %d: %v", i, err)
				} else if got.Prediction[0].Class == held[i].Label {
					right.Add(1)
				}
			}
		})
	}
	for i := range held {
		next <- i
	}
	close(next)
	wg.Wait()
	if accuracy := float64(right.Load()) / float64(len(held)); accuracy < 0.98 {
		t.Errorf("accuracy %.3f", accuracy)
	} else {
		t.Logf("accuracy %.3f", accuracy)
	}
	after := get(t, p.url+"/metrics")
	checkCounters(t, before, after, len(held))
	t.Run("promtool", func(t *testing.T) { checkMetricsPage(t, after) })
	checkDrain(t, p, bodies, len(held))
}

// checkMetricsPage has Prometheus's own tool look for what is bad style.
func checkMetricsPage(t *testing.T, page string) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if ci := os.Getenv("CI"); ci == "true" || ci == "1" {
			t.Fatal("CI has no promtool on its PATH")
		}
		t.Skip("promtool is not on the PATH")
	}
	check := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	check.Stdin = strings.NewReader(page)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// Ctrl-C ends the program as SIGTERM does, and a second signal at once.
func TestSignals(t *testing.T) {
	bin := build(t)
	t.Run("interrupt", func(t *testing.T) {
		p := startProgram(t, bin, "-drain-delay=0")
		p.Process.Signal(os.Interrupt)
		if err := p.Wait(); err != nil || !strings.Contains(p.stdout.String(), `"message":"stopped"`) {
			t.Errorf("it ended with %v; the log:\n%s", err, p.stdout)
		}
	})
	t.Run("twice", func(t *testing.T) {
		p := startProgram(t, bin, "-drain-delay=1h", "-grace-period=0")
		p.Process.Signal(syscall.SIGTERM)
		until(t, "it drains", func() bool { return strings.Contains(p.stdout.String(), `"message":"draining"`) })
		ended := make(chan error, 1)
		go func() { ended <- p.Wait() }()
		// Another and another: the first may come a moment too early.
		var err error
		until(t, "it ends", func() bool {
			p.Process.Signal(os.Interrupt)
			select {
			case err = <-ended:
				return true
			default:
				return false
			}
		})
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Error() != "signal: interrupt" {
			t.Errorf("it ended with %v", err)
		}
	})
}

func checkCounters(t *testing.T, before, after string, requests int) {
	t.Helper()
	gained := func(name string) float64 { return series(t, after, name) - series(t, before, name) }
	const (
		model   = `{model_id="digits-large"}`
		batcher = `{batcher="digits-large",model_id="digits-large"}`
	)
	if n := series(t, after, `http_requests_total{endpoint="/predict",method="POST",reason="",status="200"}`); n != float64(requests) {
		t.Errorf("http_requests_total is %v after %d requests", n, requests)
	}
	if n := series(t, after, `http_request_duration_seconds_count{endpoint="/predict",method="POST"}`); n != float64(requests) {
		t.Errorf("http_request_duration_seconds_count is %v", n)
	}
	if n := series(t, after, "http_requests_active"); n != 0 {
		t.Errorf("http_requests_active is %v", n)
	}
	// A canary may have run in between.
	items, batches := gained("batching_items_total"+batcher), gained("batching_batch_size_count"+batcher)
	if items < float64(requests) || items > float64(requests)+2 {
		t.Errorf("%v items for %d requests", items, requests)
	}
	if n := gained("model_inference_duration_seconds_count" + model); n != batches {
		t.Errorf("%v inferences in %v batches", n, batches)
	}
	if n := gained("model_inference_duration_seconds_sum" + model); n <= 0 {
		t.Errorf("%v seconds of inference", n)
	}
	if items/batches <= 4 {
		t.Errorf("the average batch is %.2f", items/batches)
	} else {
		t.Logf("average batch %.1f", items/batches)
	}
	if n := gained(strings.Replace("batching_calls_total"+batcher, "}", `,outcome="answered"}`, 1)); n != items {
		t.Errorf("%v answers for %v items", n, items)
	}
	for _, name := range []string{"batching_run_panics_total", "batching_queue_depth", "batching_running_items"} {
		if n := series(t, after, name+batcher); n != 0 {
			t.Errorf("%s is %v", name, n)
		}
	}
}

// checkDrain sends SIGTERM while all callers are busy. They go on until they
// cannot connect any more. What the program's log says it answered is what
// they got: nothing accepted was lost.
func checkDrain(t *testing.T, p *program, bodies [][]byte, earlier int) {
	t.Helper()
	var answered, refused atomic.Int64
	var wg sync.WaitGroup
	busy := make(chan struct{}, callers)
	for c := range callers {
		wg.Go(func() {
			for i := c; ; i++ {
				_, err := p.predict(bodies[i%len(bodies)])
				switch {
				case err == nil:
					answered.Add(1)
				case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
					// The listener is gone, with what it had not accepted: a write that
					// comes after the reset is told of a broken pipe.
					refused.Add(1)
					return
				default:
					t.Errorf("a request was lost: %v", err)
					return
				}
				if i == c {
					busy <- struct{}{}
				}
			}
		})
	}
	for range callers {
		<-busy
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if err := p.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if refused.Load() != callers {
		t.Errorf("%d callers were turned away, not %d", refused.Load(), callers)
	}
	logged := int64(-earlier)
	for _, m := range logRecords(t, p.stdout.String()) {
		if m["level"] == "ERROR" {
			t.Errorf("logged %v", m)
		}
		if m["message"] == "request" {
			logged++
			if m["status"] != 200.0 || m["outcome"] != "complete" || m["route"] != "/predict" {
				t.Errorf("logged %v", m)
			}
		}
	}
	if logged != answered.Load() {
		t.Errorf("%d requests were accepted, %d answered", logged, answered.Load())
	}
	t.Logf("%d answered from before SIGTERM to the end", answered.Load())
}

// The README's command answers 7.
func TestReadmeCommand(t *testing.T) {
	body, err := os.ReadFile("testdata/seven.json")
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, "-drain-delay=0")
	// What curl -d sends.
	resp, err := http.Post(r.url+"/predict", "application/x-www-form-urlencoded", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	var got predictResponse
	if err := json.Unmarshal([]byte(read(t, resp)), &got); err != nil {
		t.Fatal(err)
	}
	if got.ModelID != digits.Large || len(got.Prediction) != 1 || got.Prediction[0].Class != 7 || got.Prediction[0].Probabilities[7] < 0.9 {
		t.Errorf("%+v", got)
	}
}
