package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var bannerAddress = regexp.MustCompile(`http://([\d.]+:\d+)`)

// A running program, in this process.
type running struct {
	url            string
	stop           context.CancelFunc
	code           chan int
	stdout, stderr *lockedBuffer
}

func start(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &running{stop: stop, code: make(chan int, 1), stdout: new(lockedBuffer), stderr: new(lockedBuffer)}
	t.Cleanup(stop)
	up := &signalling{Writer: r.stderr, up: make(chan struct{})}
	go func() {
		r.code <- run(ctx, append([]string{"-listen=127.0.0.1:0"}, args...), nil, r.stdout, up)
	}()
	select {
	case <-up.up:
	case code := <-r.code:
		t.Fatalf("exit code %d and %s", code, r.stderr)
	}
	m := bannerAddress.FindStringSubmatch(r.stderr.String())
	if m == nil {
		t.Fatalf("it printed %s", r.stderr)
	}
	r.url = "http://" + m[1]
	return r
}

// signalling closes up at the first write.
type signalling struct {
	io.Writer
	up   chan struct{}
	once sync.Once
}

func (s *signalling) Write(p []byte) (int, error) {
	defer s.once.Do(func() { close(s.up) })
	return s.Writer.Write(p)
}

// until waits for what must come, but not for ever.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for !ok() {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("waiting until %s: %v", what, ctx.Err())
		}
	}
}

func TestRunServesAndStops(t *testing.T) {
	r := start(t, "-drain-delay=0")
	until(t, "it is ready", func() bool { return strings.Contains(get(t, r.url+"/readyz"), `"healthy"`) })
	r.stop()
	if code := <-r.code; code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{`"message":"listening"`, `"message":"draining"`, `"message":"stopped"`, `"to":"healthy"`, `"to":"draining"`} {
		if !strings.Contains(r.stdout.String(), want) {
			t.Errorf("the log lacks %s: %s", want, r.stdout)
		}
	}
	if _, err := http.Get(r.url + "/livez"); err == nil {
		t.Error("still listening")
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

// While it drains the program is not ready, alive, and serves; HTTP/1.1
// clients are asked to leave their connections.
func TestDrain(t *testing.T) {
	r := start(t, "-drain-delay=300ms", "-log-format=console")
	if resp, err := http.Get(r.url + "/models"); err != nil || resp.Close {
		t.Fatalf("%+v %v", resp, err)
	} else {
		resp.Body.Close()
	}
	r.stop()
	until(t, "it drains", func() bool {
		resp, err := http.Get(r.url + "/readyz")
		if err != nil {
			t.Fatalf("it stopped before it was seen draining: %v", err)
		}
		return strings.Contains(read(t, resp), `"draining"`) && resp.StatusCode == 503
	})
	resp, err := http.Get(r.url + "/models")
	if err != nil || resp.StatusCode != 200 || !resp.Close {
		t.Errorf("while draining: %+v %v", resp, err)
	} else {
		resp.Body.Close()
	}
	if body := get(t, r.url+"/livez"); !strings.Contains(body, "healthy") {
		t.Errorf("livez says %s", body)
	}
	if code := <-r.code; code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A request that outlasts the shutdown timeout is cut, and the exit code says so.
func TestShutdownTimeout(t *testing.T) {
	r := start(t, "-drain-delay=0", "-shutdown-timeout=50ms", "-read-timeout=1h")
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// A request whose body never comes.
	io.WriteString(conn, "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n")
	if line := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n")); true {
		if _, err := io.ReadFull(conn, line); err != nil {
			t.Fatal(err)
		}
	}
	r.stop()
	if code := <-r.code; code != 1 {
		t.Errorf("exit code %d", code)
	}
	// Batchers and checks had a time of their own, and nothing in the way.
	if log := r.stdout.String(); !strings.Contains(log, "requests were cut") || strings.Contains(log, "batching: close") || strings.Contains(log, "health: close") {
		t.Errorf("the log: %s", log)
	}
	conn.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still open")
	}
}

func TestRunRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-max-batch=0", "-max-queue=0"}, 2, "-max-queue or SERVING_MAX_QUEUE"},
		{[]string{"-h"}, 0, "Flags, each with the environment variable"},
		{[]string{"-listen", taken.Addr().String()}, 1, "address already in use"},
	} {
		synctest.Test(t, func(t *testing.T) { // which fails if goroutines remain
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), tt.args, nil, &stdout, &stderr); code != tt.code || !strings.Contains(stderr.String(), tt.want) || stdout.Len() > 0 {
				t.Errorf("%v: exit code %d and\n%s\n%s", tt.args, code, &stdout, &stderr)
			}
		})
	}
}

// What was started before a step failed is closed: the bubble finds the rest.
func TestFailedStartLeavesNothing(t *testing.T) {
	for want, spoil := range map[string]func(*config){
		"DrainDelay":   func(c *config) { c.drainDelay = 1000 * time.Hour },
		"MaxBatchSize": func(c *config) { c.maxBatch = -1 },
	} {
		synctest.Test(t, func(t *testing.T) {
			cfg, err := parseConfig(nil, nil, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			spoil(cfg)
			if _, err := newService(cfg, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}

// Each record of the log is one JSON object.
func logRecords(t *testing.T, log string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(log) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		all = append(all, m)
	}
	return all
}
