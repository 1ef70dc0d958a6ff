package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/batching"
	"github.com/ballast-go/ballast/examples/serving/internal/digits"
)

// requestBody is a request for rows; without a model if modelID is "".
func requestBody(modelID string, rows ...[]float32) []byte {
	body, err := json.Marshal(struct {
		ModelID string      `json:"model_id,omitempty"`
		Input   [][]float32 `json:"input"`
	}{modelID, rows})
	if err != nil {
		panic(err)
	}
	return body
}

// newTestService is a started service; its log goes to the returned buffer.
func newTestService(t *testing.T, args ...string) (*service, *lockedBuffer) {
	t.Helper()
	cfg, err := parseConfig(args, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	out := new(lockedBuffer)
	s, err := newService(cfg, out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := s.health.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, out
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func ask(t *testing.T, h http.Handler, method, path, body string) *http.Response {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w.Result()
}

func read(t *testing.T, resp *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return string(body)
}

func TestEndpoints(t *testing.T) {
	s, _ := newTestService(t)
	h := s.handler()
	for _, tt := range []struct {
		method, path string
		status       int
		kind, want   string
	}{
		{"GET", "/", 200, "text/plain", "POST /predict"},
		{"GET", "/health", 200, "application/json", `{"status":"healthy"}`},
		{"GET", "/livez", 200, "application/json", "healthy"},
		{"GET", "/readyz", 200, "application/json", "healthy"},
		{"GET", "/startupz", 200, "application/json", "healthy"},
		{"GET", "/metrics", 200, "text/plain", `model_info{framework="ballast-`},
		{"GET", "/models", 200, "application/json", `"layers":[784,2048,1024,10]`},
		{"GET", "/models/digits-small", 200, "application/json", `{"id":"digits-small","default":false,"layers":[784,256,128,10],"parameters":235146,`},
		{"GET", "/models/none", 404, "application/problem+json", "no such model"},
		{"GET", "/predict", 405, "", ""},
		{"GET", "/nowhere", 404, "", ""},
	} {
		resp := ask(t, h, tt.method, tt.path, "")
		body := read(t, resp)
		if resp.StatusCode != tt.status || !strings.HasPrefix(resp.Header.Get("Content-Type"), tt.kind) || !strings.Contains(body, tt.want) {
			t.Errorf("%s %s: %d %s %s", tt.method, tt.path, resp.StatusCode, resp.Header.Get("Content-Type"), body)
		}
	}
}

func TestPredict(t *testing.T) {
	s, out := newTestService(t)
	h := s.handler()
	held := s.models[digits.Large].held
	seven, one := held[750], held[150]
	if seven.Label != 7 || one.Label != 1 {
		t.Fatalf("held-out digits %d and %d", seven.Label, one.Label)
	}
	for _, id := range []string{"", digits.Large, digits.Small} {
		resp := ask(t, h, "POST", "/predict", string(requestBody(id, seven.Input(), one.Input(), seven.Input())))
		var got predictResponse
		if err := json.Unmarshal([]byte(read(t, resp)), &got); err != nil {
			t.Fatal(err)
		}
		if want := map[string]string{"": digits.Large}[id] + id; got.ModelID != want || got.ID != resp.Header.Get("X-Request-ID") || got.InferenceTimeMS <= 0 {
			t.Errorf("%+v", got)
		}
		if len(got.Prediction) != 3 || got.Prediction[0].Class != 7 || got.Prediction[1].Class != 1 || got.Prediction[2].Class != 7 {
			t.Fatalf("%+v", got.Prediction)
		}
		for _, p := range got.Prediction {
			sum := 0.0
			for _, v := range p.Probabilities {
				sum += float64(v)
			}
			if math.Abs(sum-1) > 1e-4 || p.Probabilities[p.Class] < 0.5 {
				t.Errorf("%+v", p)
			}
		}
	}
	if log := out.String(); !strings.Contains(log, `"route":"/predict","status":200`) || strings.Contains(log, "0.0") && strings.Contains(log, `"input"`) {
		t.Errorf("the log: %s", log)
	}
}

func TestBadRequestsOverHTTP(t *testing.T) {
	s, out := newTestService(t, "-max-rows=4")
	srv := httptest.NewServer(s.handler())
	defer srv.Close()
	post := func(kind, body string) *http.Response {
		resp, err := srv.Client().Post(srv.URL+"/predict", kind, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	check := func(name string, resp *http.Response, status int, detail string) {
		t.Helper()
		var problem struct {
			Title, Detail string
			Status        int
		}
		body := read(t, resp)
		if err := json.Unmarshal([]byte(body), &problem); err != nil || resp.Header.Get("Content-Type") != "application/problem+json" ||
			resp.StatusCode != status || problem.Status != status || problem.Title != http.StatusText(status) || !strings.Contains(problem.Detail, detail) {
			t.Errorf("%s: %d %s %s", name, resp.StatusCode, resp.Header, body)
		}
	}
	for _, tt := range badBodies {
		check(tt.name, post("application/json", tt.body), tt.status, tt.detail)
	}
	check("unknown model", post("", string(requestBody("gpt", make([]float32, digits.InputSize)))), 404, "no such model")
	resp := post("text/csv", "0,1")
	check("content type", resp, 415, "application/json")
	if resp.Header.Get("Accept") != "application/json" {
		t.Errorf("Accept %q", resp.Header.Get("Accept"))
	}
	check("too large", post("application/json", strings.Repeat(" ", 1<<20+1)), 413, "1048576")
	if log := out.String(); strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("a client's mistake is an error of ours: %s", log)
	}
}

// A backend that fails, hangs or panics gives problems, not internals, and is
// counted once by its kind.
func TestBackendFailures(t *testing.T) {
	s, out := newTestService(t, "-request-timeout=20ms", "-max-queue=1", "-max-batch=1", "-instances=1")
	h := s.handler()
	m := s.models[digits.Small]
	swap := func(run func(context.Context, [][]float32, []batching.Slot[answer]) error) {
		t.Helper()
		if err := m.batcher.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		var err error
		if m.batcher, err = batching.New(run, batching.Config[[]float32]{MaxBatchSize: 1, MaxQueue: 1}); err != nil {
			t.Fatal(err)
		}
	}
	body := string(requestBody(digits.Small, make([]float32, digits.InputSize)))
	expect := func(status int, reason, kind string) {
		t.Helper()
		resp := ask(t, h, "POST", "/predict", body)
		got := read(t, resp)
		if resp.StatusCode != status || !strings.Contains(got, reason) || strings.Contains(got, "hunter2") {
			t.Errorf("%d %s", resp.StatusCode, got)
		}
		if page := read(t, ask(t, h, "GET", "/metrics", "")); !strings.Contains(page, `prediction_errors_total{error_type="`+kind+`",model_id="digits-small"} 1`) {
			t.Errorf("no error of type %s counted", kind)
		}
	}
	swap(func(context.Context, [][]float32, []batching.Slot[answer]) error {
		return errors.New("the password is hunter2")
	})
	expect(500, `"status":500`, "backend")
	swap(func(context.Context, [][]float32, []batching.Slot[answer]) error { panic("hunter2") })
	expect(500, `"status":500`, "panic")
	release := make(chan struct{})
	swap(func(context.Context, [][]float32, []batching.Slot[answer]) error { <-release; return nil })
	expect(504, `"status":504`, "timeout")
	waiting, leave := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { m.batcher.Do(waiting, nil) })
	for m.batcher.Stats().Queued == 0 {
		runtime.Gosched()
	}
	expect(503, `"reason":"queue-full"`, "queue_full")
	if err := m.canary(t.Context()); err != nil {
		t.Errorf("a full queue makes the replica unready: %v", err)
	}
	leave()
	wg.Wait()
	close(release)
	if err := m.batcher.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(503, `"reason":"draining"`, "draining")
	if err := m.canary(t.Context()); err == nil {
		t.Error("a closed batcher is ready")
	}
	if log := out.String(); !strings.Contains(log, `"error_type":"timeout"`) {
		t.Errorf("the log: %s", log)
	}
}

// One failing row fails the request and withdraws the others.
func TestRowsFailTogether(t *testing.T) {
	s, _ := newTestService(t)
	m := s.models[digits.Small]
	row := make([]float32, digits.InputSize)
	if _, err := m.predict(t.Context(), [][]float32{row, row[:3], row}); !errors.Is(err, digits.ErrInput) && !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := m.predictCancelled(t); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if got := errorType(context.Canceled); got != "" {
		t.Errorf("a client that left counts as %s", got)
	}
}

func (m *model) predictCancelled(t *testing.T) error {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := m.predict(ctx, make([][]float32, 2))
	return err
}

func TestWarmUpRefusesDamagedWeights(t *testing.T) {
	s, _ := newTestService(t)
	wrong := make([]digits.Digit, 100)
	copy(wrong, s.models[digits.Small].held)
	for i := range wrong {
		wrong[i].Label = 9
	}
	m := &model{net: s.models[digits.Small].net, held: wrong}
	if err := m.warmUp(t.Context()); err == nil || !strings.Contains(err.Error(), "digits-small reads 0.0 %") {
		t.Errorf("got %v", err)
	}
	m.held = nil
	if err := m.warmUp(t.Context()); err == nil {
		t.Error("no digits are enough")
	}
}

// pipeListener serves in-memory connections, which synctest bubbles can wait for.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { close(l.done); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.IPAddr{} }

func (l *pipeListener) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	l.conns <- server
	return client, nil
}

// bubble serves h in the caller's bubble, with a client that reuses connections.
func bubble(t *testing.T, h http.Handler) *http.Client {
	l := &pipeListener{make(chan net.Conn), make(chan struct{})}
	srv := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() { srv.Serve(l); close(done) }()
	tr := &http.Transport{DialContext: l.dial}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		srv.Close()
		<-done
	})
	return &http.Client{Transport: tr}
}

// A stream may idle for longer than the write timeout, and so may its handler
// before it writes; the connection serves the next request all the same.
func TestStreamOutlivesTheWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = time.Second
		client := bubble(t, perWrite(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for range 3 {
				<-time.After(10 * timeout)
				io.WriteString(w, "data\n")
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Error(err)
				}
				w.(http.Flusher).Flush()
			}
		}), timeout))
		for range 2 {
			resp, err := client.Get("http://x/")
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(resp.Body); string(body) != "data\ndata\ndata\n" || err != nil {
				t.Errorf("%q %v", body, err)
			}
			resp.Body.Close()
			<-time.After(10 * timeout) // the connection idles past its deadline
		}
	})
}

// A client that stalls ends its stream after the write timeout.
func TestStalledReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = time.Second
		ended := make(chan time.Duration, 1)
		client := bubble(t, perWrite(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					ended <- time.Since(start)
					return
				}
			}
		}), timeout))
		resp, err := client.Get("http://x/")
		if err != nil {
			t.Fatal(err)
		}
		if took := <-ended; took != timeout {
			t.Errorf("the handler ended after %v", took)
		}
		resp.Body.Close()
	})
}
