package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
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

const problemJSON = "application/problem+json"

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
		{"GET", "/models/digits-large", 200, "application/json", `"accuracy":0.9`}, // once started
		{"GET", "/models/none", 404, "application/problem+json", "no such model"},
		{"GET", "/predict", 405, problemJSON, `"status":405`},
		{"DELETE", "/models", 405, problemJSON, `"status":405`},
		{"POST", "/metrics", 405, problemJSON, `"status":405`},
		{"POST", "/health", 405, problemJSON, `"status":405`},
		{"GET", "/nowhere", 404, problemJSON, `"status":404`},
		// The refused above are counted, and sized by nothing that a client sent.
		{"GET", "/metrics", 200, "text/plain", `http_requests_total{endpoint="unmatched",method="GET",reason="",status="404"} 1`},
		{"GET", "/metrics", 200, "text/plain", `http_requests_total{endpoint="unmatched",method="GET",reason="",status="405"} 1`},
	} {
		resp := ask(t, h, tt.method, tt.path, "")
		body := read(t, resp)
		if resp.StatusCode != tt.status || !strings.HasPrefix(resp.Header.Get("Content-Type"), tt.kind) || !strings.Contains(body, tt.want) {
			t.Errorf("%s %s: %d %s %s", tt.method, tt.path, resp.StatusCode, resp.Header.Get("Content-Type"), body)
		}
		if allow := resp.Header.Get("Allow"); allow != map[string]string{"/predict": "POST", "/models": "GET, HEAD", "/metrics": "GET, HEAD", "/health": "GET, HEAD"}[tt.path] && tt.status == 405 {
			t.Errorf("%s %s allows %q", tt.method, tt.path, allow)
		}
	}
}

// Whatever else a mux answers stays as it is.
func TestProblemsOnlyForErrors(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/a", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "my own", 404) })
	h := withProblems(mux)
	if resp := ask(t, h, "GET", "/a", ""); read(t, resp) != "my own\n" {
		t.Errorf("a handler's error: %+v", resp)
	}
	if resp := ask(t, h, "GET", "//b", ""); resp.StatusCode/100 != 3 || resp.Header.Get("Location") != "/b" || !strings.Contains(read(t, resp), "href") {
		t.Errorf("a redirect: %+v", resp)
	}
	resp := ask(t, h, "GET", "/b", "")
	if body := read(t, resp); resp.StatusCode != 404 || strings.Contains(body, "page not found") || strings.Count(body, "\n") != 1 {
		t.Errorf("%d %s", resp.StatusCode, body)
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
	if log := out.String(); !strings.Contains(log, `"route":"/predict","outcome":"complete"`) || strings.Contains(log, "0.0") && strings.Contains(log, `"input"`) {
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
	s, out := newTestService(t, "-request-timeout=20ms", "-max-queue=1", "-max-rows=1", "-max-batch=1", "-instances=1")
	h := s.handler()
	m := s.models[digits.Small]
	swap := func(run runFunc) {
		t.Helper()
		if err := m.batcher.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		m.batcher = newBatcher(t, batching.Config[item]{MaxBatchSize: 1, MaxQueue: 1}, run)
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
	is := func(name string, want float64) {
		t.Helper()
		if n := series(t, read(t, ask(t, h, "GET", "/metrics", "")), name+`{batcher="digits-small",model_id="digits-small"}`); n != want {
			t.Errorf("%s is %v, want %v", name, n, want)
		}
	}
	calls := func(outcome string, want float64) {
		t.Helper()
		if n := series(t, read(t, ask(t, h, "GET", "/metrics", "")), `batching_calls_total{batcher="digits-small",model_id="digits-small",outcome="`+outcome+`"}`); n != want {
			t.Errorf("%v calls are counted as %s, want %v", n, outcome, want)
		}
	}
	swap(func(context.Context, []item, []batching.Slot[answer]) error {
		return errors.New("the password is hunter2")
	})
	expect(500, `"status":500`, "backend")
	swap(func(context.Context, []item, []batching.Slot[answer]) error { panic("hunter2") })
	expect(500, `"status":500`, "panic")
	is("batching_run_panics_total", 1)
	release := make(chan struct{})
	swap(func(context.Context, []item, []batching.Slot[answer]) error { <-release; return nil })
	expect(504, `"status":504`, "timeout")
	calls("cancelled_running", 1)
	calls("queue_full", 0)
	waiting, leave := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { m.batcher.Do(waiting, item{}) })
	until(t, "an item waits", func() bool { return m.batcher.Stats().Queued > 0 })
	expect(503, `"reason":"queue-full"`, "queue_full")
	is("batching_queue_depth", 1)
	calls("queue_full", 1)
	if err := m.canary(t.Context()); !errors.Is(err, batching.ErrQueueFull) {
		t.Errorf("a backend that hangs behind a full queue: %v", err)
	}
	leave()
	wg.Wait()
	close(release)
	if err := m.batcher.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(503, `"reason":"draining"`, "draining")
	calls("queue_full", 2) // the canary was one
	calls("closed", 1)
	calls("cancelled_running", 1)
	calls("cancelled_queued", 1)
	is("batching_queue_depth", 0)
	if err := m.canary(t.Context()); err == nil {
		t.Error("a closed batcher is ready")
	}
	if log := out.String(); !strings.Contains(log, `"error_type":"timeout"`) {
		t.Errorf("the log: %s", log)
	}

	computing := make(chan struct{})
	release = make(chan struct{})
	swap(func(_ context.Context, _ []item, out []batching.Slot[answer]) error {
		close(computing)
		<-release
		return nil
	})
	wg.Go(func() { m.batcher.Do(t.Context(), item{}) })
	<-computing
	is("batching_running_items", 1)
	close(release)
	wg.Wait()
	is("batching_running_items", 0)
}

// The first row that fails, in the request's order, fails the request with its
// error. The others are computed.
func TestRowsFailTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := errors.New("a bad row")
		m := &model{batcher: newBatcher(t, batching.Config[item]{MaxBatchSize: 1, Instances: 4},
			func(ctx context.Context, in []item, out []batching.Slot[answer]) error {
				switch len(in[0].input) {
				case 0:
					<-time.After(time.Second) // until all the others have their outcome
					return bad
				case 2:
					return errors.New("first, but of a later row")
				}
				out[0].Set(answer{})
				return nil
			})}
		if _, err := m.predict(t.Context(), [][]float32{{1}, {}, {1, 2}, {1}}, interactive); err != bad {
			t.Errorf("got %v", err)
		}
		if s := m.batcher.Stats(); s.Answered != 2 || s.Failed != 2 {
			t.Errorf("%d rows were answered, %d failed", s.Answered, s.Failed)
		}
	})
}

func TestClientLeaves(t *testing.T) {
	m := &model{batcher: newBatcher(t, batching.Config[item]{}, func(context.Context, []item, []batching.Slot[answer]) error { return nil })}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.predict(ctx, make([][]float32, 2), interactive); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	} else if kind := errorType(err); kind != "" {
		t.Errorf("it counts as %s", kind)
	}
}

type runFunc = func(context.Context, []item, []batching.Slot[answer]) error

// newBatcher is a batcher in front of a backend of the test's.
func newBatcher(t *testing.T, cfg batching.Config[item], run runFunc) *batching.Batcher[item, answer] {
	t.Helper()
	b, err := batching.New(run, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close(context.Background()) })
	return b
}

func TestWarmUpRefusesDamagedWeights(t *testing.T) {
	s, _ := newTestService(t)
	wrong := make([]digits.Digit, 100)
	copy(wrong, s.models[digits.Small].held)
	for i := range wrong {
		wrong[i].Label = 9
	}
	m := &model{net: s.models[digits.Small].net, held: wrong}
	if err := m.measure(t.Context()); err == nil || !strings.Contains(err.Error(), "digits-small reads 0.0 %") {
		t.Errorf("got %v", err)
	}
	m.held = nil
	if err := m.measure(t.Context()); err == nil {
		t.Error("no digits are enough")
	}
}
