package health_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ballast-go/ballast/health"
)

func get(handler http.Handler) (int, string) {
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	return w.Code, w.Body.String()
}

func serve(t *testing.T, h *health.Health) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/health", h.Handler())
	mux.Handle("/readyz", h.ReadyHandler())
	mux.Handle("/startupz", h.StartupHandler())
	mux.Handle("/livez", h.LiveHandler())
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func do(t *testing.T, method, url string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestHandlersOverHTTP(t *testing.T) {
	const secret = "10.1.2.3:5432 refused user=admin"
	loaded := failing(errors.New(secret))
	gpu := failing(errors.New(secret))
	states := make(chan health.State, 10)
	h := start(t, health.Config{
		Startup:       []health.Check{{Name: "private-model", Func: loaded.check, Interval: time.Millisecond}},
		Readiness:     []health.Check{{Name: "private-gpu", Func: gpu.check, Interval: time.Millisecond}},
		DrainDelay:    -1,
		OnStateChange: func(_, to health.State, _ error) { states <- to },
	})
	url := serve(t, h)

	probe := func(step string, want map[string]string) {
		t.Helper()
		for path, status := range want {
			code := http.StatusServiceUnavailable
			if status == "healthy" {
				code = http.StatusOK
			}
			body := `{"status":"` + status + `"}`
			resp, got := do(t, http.MethodGet, url+path)
			if resp.StatusCode != code || got != body {
				t.Errorf("%s: GET %s: %d %q, want %d %q", step, path, resp.StatusCode, got, code, body)
			}
			head, empty := do(t, http.MethodHead, url+path)
			if head.StatusCode != code || empty != "" {
				t.Errorf("%s: HEAD %s: %d %q, want %d and no body", step, path, head.StatusCode, empty, code)
			}
			for _, r := range []*http.Response{resp, head} {
				if r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Cache-Control") != "no-store" ||
					r.Header.Get("Content-Length") != strconv.Itoa(len(body)) {
					t.Errorf("%s: %s %s: %v", step, r.Request.Method, path, r.Header)
				}
			}
			if strings.Contains(got, "private") || strings.Contains(got, secret) {
				t.Errorf("%s: %s leaks: %s", step, path, got)
			}
		}
	}
	until := func(want health.State) {
		t.Helper()
		if got := <-states; got != want {
			t.Fatalf("state %s, want %s", got, want)
		}
	}

	probe("starting", map[string]string{"/health": "starting", "/readyz": "starting", "/startupz": "starting", "/livez": "healthy"})
	loaded.set(nil)
	until(health.StateUnhealthy)
	probe("unhealthy", map[string]string{"/health": "unhealthy", "/readyz": "unhealthy", "/startupz": "healthy", "/livez": "healthy"})
	gpu.set(nil)
	until(health.StateHealthy)
	probe("healthy", map[string]string{"/health": "healthy", "/readyz": "healthy", "/startupz": "healthy", "/livez": "healthy"})
	if err := h.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	probe("draining", map[string]string{"/health": "draining", "/readyz": "draining", "/startupz": "healthy", "/livez": "healthy"})
	h.Fatal(errors.New(secret))
	probe("fatal", map[string]string{"/health": "unhealthy", "/readyz": "unhealthy", "/startupz": "healthy", "/livez": "unhealthy"})
}

func TestOtherMethodsAreRefused(t *testing.T) {
	url := serve(t, start(t, health.Config{}))
	for _, path := range []string{"/health", "/readyz", "/startupz", "/livez"} {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, "BREW"} {
			resp, body := do(t, method, url+path)
			if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "GET, HEAD" ||
				resp.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(body, `"status":405`) {
				t.Errorf("%s %s: %d %v %s", method, path, resp.StatusCode, resp.Header, body)
			}
		}
	}
}

// TestDrainThenShutdown shows the documented order on a real server: what
// arrives while load balancers have not noticed yet is served, and so is what
// is in flight at the shutdown.
func TestDrainThenShutdown(t *testing.T) {
	h := start(t, health.Config{DrainDelay: 50 * time.Millisecond})
	begun, finish := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.Handle("/readyz", h.ReadyHandler())
	mux.Handle("/livez", h.LiveHandler())
	mux.HandleFunc("/slow", func(http.ResponseWriter, *http.Request) {
		close(begun)
		<-finish
	})
	server := httptest.NewServer(mux)
	defer server.Close()

	slow := make(chan int, 1)
	go func() {
		resp, err := http.Get(server.URL + "/slow")
		if err != nil {
			t.Error(err)
			slow <- 0
			return
		}
		resp.Body.Close()
		slow <- resp.StatusCode
	}()
	<-begun
	drained := make(chan error, 1)
	go func() { drained <- h.Drain(context.Background()) }()
	for h.Ready() == nil {
		runtime.Gosched()
	}
	for path, code := range map[string]int{"/readyz": 503, "/livez": 200} {
		if resp, _ := do(t, http.MethodGet, server.URL+path); resp.StatusCode != code {
			t.Errorf("%s while draining: %d, want %d", path, resp.StatusCode, code)
		}
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if resp, _ := do(t, http.MethodGet, server.URL+"/livez"); resp.StatusCode != 200 {
		t.Errorf("/livez after Drain, before Shutdown: %d", resp.StatusCode)
	}
	shutdown := make(chan error, 1)
	go func() { shutdown <- server.Config.Shutdown(context.Background()) }()
	close(finish)
	if err := <-shutdown; err != nil {
		t.Error(err)
	}
	if code := <-slow; code != 200 {
		t.Errorf("the request in flight got %d", code)
	}
}

// discard is a ResponseWriter that allocates nothing of its own.
type discard struct {
	header http.Header
	code   int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(code int)        { d.code = code }

func TestProbesDoNotAllocate(t *testing.T) {
	fine := start(t, health.Config{Readiness: []health.Check{{Name: "a", Func: pass}}})
	if err := fine.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	broken := start(t, health.Config{
		Startup: []health.Check{{Name: "a", Func: failing(io.EOF).check}},
	})
	broken.Fatal(io.EOF)
	degraded := start(t, health.Config{
		Dependencies: []health.Dependency{{Name: "a", Func: failing(io.EOF).check}},
		Verbose:      func(*http.Request) bool { return true }, // nobody asks for more
	})
	for name, h := range map[string]*health.Health{"fine": fine, "broken": broken, "degraded": degraded} {
		w := &discard{header: make(http.Header)}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		serve := func(handler http.Handler) func() {
			return func() {
				clear(w.header)
				handler.ServeHTTP(w, r)
			}
		}
		for what, probe := range map[string]func(){
			"Live":           func() { _ = h.Live() },
			"Started":        func() { _ = h.Started() },
			"Ready":          func() { _ = h.Ready() },
			"State":          func() { _, _ = h.State() },
			"Handler":        serve(h.Handler()),
			"LiveHandler":    serve(h.LiveHandler()),
			"ReadyHandler":   serve(h.ReadyHandler()),
			"StartupHandler": serve(h.StartupHandler()),
		} {
			if n := testing.AllocsPerRun(200, probe); n != 0 {
				t.Errorf("%s when %s: %v allocations", what, name, n)
			}
		}
	}
}

func TestHeadWritesNoBody(t *testing.T) {
	w := httptest.NewRecorder()
	start(t, health.Config{}).Handler().ServeHTTP(w, httptest.NewRequest(http.MethodHead, "/", nil))
	if w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Content-Length") != "20" {
		t.Errorf("%d %v %q", w.Code, w.Header(), w.Body)
	}
}

// TestAnswersCannotBeSpoiled: a middleware that changes the headers of one
// answer changes no later one.
func TestAnswersCannotBeSpoiled(t *testing.T) {
	handler := start(t, health.Config{}).Handler()
	for range 2 {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		if got := w.Header().Values("Cache-Control"); len(got) != 1 || got[0] != "no-store" {
			t.Errorf("Cache-Control: %q", got)
		}
		w.Header().Add("Cache-Control", "private")
		w.Header().Set("Content-Type", "text/plain")
	}
}
