package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
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
	up := make(chan struct{})
	go func() {
		r.code <- run(ctx, append([]string{"-listen=127.0.0.1:0"}, args...), nil, r.stdout, signalling{r.stderr, up})
	}()
	<-up
	m := bannerAddress.FindStringSubmatch(r.stderr.String())
	if m == nil {
		t.Fatalf("it printed %s", r.stderr)
	}
	r.url = "http://" + m[1]
	t.Cleanup(stop)
	return r
}

// signalling closes up at the first write.
type signalling struct {
	io.Writer
	up chan struct{}
}

func (s signalling) Write(p []byte) (int, error) {
	defer close(s.up)
	return s.Writer.Write(p)
}

func TestRunServesAndStops(t *testing.T) {
	r := start(t, "-drain-delay=0")
	for !strings.Contains(get(t, r.url+"/readyz"), "healthy\"") {
		<-time.After(time.Millisecond)
	}
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
	for {
		resp, err := http.Get(r.url + "/readyz")
		if err != nil {
			t.Fatalf("it stopped before it was seen draining: %v", err)
		}
		body := read(t, resp)
		if resp.StatusCode == 503 && strings.Contains(body, `"draining"`) {
			break
		}
	}
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
	r := start(t, "-drain-delay=0", "-shutdown-timeout=50ms")
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
	if !strings.Contains(r.stdout.String(), "requests were cut") {
		t.Errorf("the log: %s", r.stdout)
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
		var out bytes.Buffer
		if code := run(t.Context(), tt.args, nil, &out, &out); code != tt.code || !strings.Contains(out.String(), tt.want) {
			t.Errorf("%v: exit code %d and\n%s", tt.args, code, &out)
		}
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
