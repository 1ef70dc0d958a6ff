package logging

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ballast-go/ballast/internal/reqstate"
)

// A pipe of records, for tests in which the server logs when it likes.
type records struct {
	mu  sync.Mutex
	buf bytes.Buffer
	got chan struct{}
}

func newRecords() *records { return &records{got: make(chan struct{}, 1000)} }

func (r *records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got <- struct{}{}
	return r.buf.Write(p)
}

// next waits for n records and returns them.
func (r *records) next(t *testing.T, n int) []map[string]any {
	t.Helper()
	for range n {
		<-r.got
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	all := lines(t, &r.buf)
	if len(all) != n {
		t.Fatalf("%d records, want %d: %v", len(all), n, all)
	}
	return all
}

// A site is a server behind the package's whole chain.
type site struct {
	*httptest.Server
	records *records
	logger  *Logger
}

func newSite(t *testing.T, h http.Handler, http2 bool) *site {
	t.Helper()
	recs := newRecords()
	l, err := New(Config{Output: recs})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(Recover(l)(Middleware(l, MiddlewareConfig{})(h)))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	if http2 {
		srv.EnableHTTP2 = true
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	return &site{srv, recs, l}
}

func each(t *testing.T, f func(t *testing.T, http2 bool)) {
	t.Run("HTTP/1.1", func(t *testing.T) { f(t, false) })
	t.Run("HTTP/2", func(t *testing.T) { f(t, true) })
}

func (s *site) get(t *testing.T, path string) (*http.Response, string, error) {
	t.Helper()
	resp, err := s.Client().Get(s.URL + path)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

var hexID = regexp.MustCompile(`^[0-9a-f]{32}$`)

func TestAccessRecord(t *testing.T) {
	each(t, func(t *testing.T, http2 bool) {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /models/{id}", func(w http.ResponseWriter, r *http.Request) {
			if !hexID.MatchString(RequestID(r.Context())) {
				t.Errorf("request id %q", RequestID(r.Context()))
			}
			reqstate.FromContext(r.Context()).SetSubject("alice")
			w.WriteHeader(404)
			io.WriteString(w, "none")
		})
		s := newSite(t, mux, http2)
		resp, body, err := s.get(t, "/models/secret-name?token=hunter2")
		if err != nil || resp.StatusCode != 404 || body != "none" {
			t.Fatalf("%v %q %v", resp, body, err)
		}
		m := s.records.next(t, 1)[0]
		for key, want := range map[string]any{
			"level": "INFO", "message": "request", "method": "GET", "route": "/models/{id}", "status": 404.0,
			"outcome": "complete", "bytes_in": 0.0, "bytes_out": 4.0, "user_agent": map[bool]string{false: "Go-http-client/1.1", true: "Go-http-client/2.0"}[http2],
			"subject": "alice", "request_id": resp.Header.Get("X-Request-ID"),
		} {
			if m[key] != want {
				t.Errorf("%s is %v, want %v", key, m[key], want)
			}
		}
		if !strings.HasPrefix(m["remote"].(string), "127.0.0.1:") || m["duration_ms"].(float64) <= 0 {
			t.Errorf("remote %v, duration %v", m["remote"], m["duration_ms"])
		}
		if len(m) != 14 {
			t.Errorf("%d fields: %v", len(m), m)
		}
	})
}

func TestStreamRecord(t *testing.T) {
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		io.WriteString(w, "event: error\n\n")
		w.(http.Flusher).Flush()
	}), false)
	s.get(t, "/")
	m := s.records.next(t, 1)[0]
	if m["level"] != "ERROR" || m["status"] != 500.0 || m["sent_status"] != 200.0 || m["outcome"] != "error-event" || m["chunks"] != 2.0 ||
		m["time_to_first_byte_ms"].(float64) <= 0 || m["longest_gap_ms"].(float64) <= 0 || m["route"] != "unmatched" {
		t.Errorf("%v", m)
	}
}

func TestClientGoneIsNoError(t *testing.T) {
	each(t, func(t *testing.T, http2 bool) {
		entered := make(chan struct{})
		s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(entered)
			<-r.Context().Done()
		}), http2)
		ctx, leave := context.WithCancel(t.Context())
		go func() { <-entered; leave() }()
		req, _ := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
		if resp, err := s.Client().Do(req); err == nil {
			resp.Body.Close()
		}
		if m := s.records.next(t, 1)[0]; m["status"] != 499.0 || m["level"] != "INFO" || m["outcome"] != "client-gone" {
			t.Errorf("%v", m)
		}
	})
}

func TestRecover(t *testing.T) {
	each(t, func(t *testing.T, http2 bool) {
		mux := http.NewServeMux()
		mux.HandleFunc("/early", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip") // of the body that never came
			w.Header().Set("Content-Length", "7")
			panicHere(errors.New("the password is hunter2"))
		})
		mux.HandleFunc("/late", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "part")
			w.(http.Flusher).Flush()
			panicHere("boom")
		})
		mux.HandleFunc("/abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		mux.HandleFunc("/exit", func(http.ResponseWriter, *http.Request) { runtime.Goexit() })
		mux.HandleFunc("/nested", func(http.ResponseWriter, *http.Request) { panic(new(broken)) })
		s := newSite(t, mux, http2)

		resp, body, err := s.get(t, "/early")
		if err != nil || resp.StatusCode != 500 || resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Fatalf("%v %q %v", resp, body, err)
		}
		if strings.Contains(body, "hunter2") || !strings.Contains(body, `"status":500`) {
			t.Errorf("the client is told %s", body)
		}
		both := s.records.next(t, 2)
		slices.SortFunc(both, func(a, b map[string]any) int { return strings.Compare(a["message"].(string), b["message"].(string)) })
		p, access := both[0], both[1]
		id := resp.Header.Get("X-Request-ID")
		if p["message"] != "panic" || p["level"] != "ERROR" || p["request_id"] != id || p["method"] != "GET" {
			t.Errorf("%v", p)
		}
		if e := p["exception"].(string); !strings.HasPrefix(e, "panic: the password is hunter2\n\ngoroutine ") || !strings.Contains(e, "logging.panicHere") {
			t.Errorf("exception %s", e)
		}
		if access["status"] != 500.0 || access["outcome"] != "panic" || access["request_id"] != id || access["route"] != "/early" {
			t.Errorf("%v", access)
		}

		if resp, body, err := s.get(t, "/late"); err == nil {
			t.Errorf("a cut answer looks whole: %v %q", resp, body)
		}
		for _, m := range s.records.next(t, 2) {
			if m["message"] == "request" && (m["status"] != 500.0 || m["sent_status"] != 200.0 || m["outcome"] != "panic") {
				t.Errorf("%v", m)
			}
		}
		for _, path := range []string{"/abort", "/exit"} {
			if _, _, err := s.get(t, path); err == nil {
				t.Errorf("%s was answered", path)
			}
			if m := s.records.next(t, 1)[0]; m["outcome"] != "aborted" || m["status"] != 500.0 || m["sent_status"] != 0.0 {
				t.Errorf("%v", m)
			}
		}
		if resp, _, err := s.get(t, "/nested"); err != nil || resp.StatusCode != 500 {
			t.Errorf("%v %v", resp, err)
		}
		s.records.next(t, 2)
	})
}

//go:noinline
func panicHere(v any) { panic(v) }

func TestRecoverAlone(t *testing.T) {
	l, buf := newTest(t, Config{})
	rec := httptest.NewRecorder()
	Recover(l)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panicHere("boom") })).
		ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	if m := line(t, buf); rec.Code != 500 || m["message"] != "panic" || m["request_id"] != nil {
		t.Errorf("%d %v", rec.Code, m)
	}
}

// What a client or a panic brings is bounded in a record.
func TestRecordsAreBounded(t *testing.T) {
	l, buf := newTest(t, Config{})
	h := Recover(l)(Middleware(l, MiddlewareConfig{})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic(strings.Repeat("é", 1<<20))
	})))
	r := httptest.NewRequest(strings.Repeat("M", 1<<20), "/", nil)
	r.RemoteAddr = strings.Repeat("9", 1<<20) // as a middleware may take it from X-Forwarded-For
	r.Pattern = "/" + strings.Repeat("r", 1<<20)
	r.Header.Set("User-Agent", strings.Repeat("é", 1<<20))
	r.Header.Set("X-Request-ID", strings.Repeat("i", 1<<20))
	h.ServeHTTP(httptest.NewRecorder(), r)
	if buf.Len() > maxStack+8<<10 {
		t.Errorf("%d bytes", buf.Len())
	}
	for _, m := range lines(t, buf) {
		for key, v := range m {
			if s, ok := v.(string); ok && strings.ContainsRune(s, '\ufffd') {
				t.Errorf("%s was cut within a rune", key)
			}
		}
	}
}

func TestRequestID(t *testing.T) {
	l, buf := newTest(t, Config{})
	trusted := func(r *http.Request) bool { return r.RemoteAddr == "10.0.0.1:1" }
	h := Middleware(l, MiddlewareConfig{RequestIDHeader: "x-correlation-id", TrustRequestID: trusted})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	ask := func(remote string, ids ...string) string {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = remote
		for _, id := range ids {
			r.Header.Add("X-Correlation-ID", id)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		id := line(t, buf)["request_id"].(string)
		if w.Header().Get("X-Correlation-ID") != id {
			t.Errorf("answered %q, logged %q", w.Header().Get("X-Correlation-ID"), id)
		}
		return id
	}
	const good = "a.B-c_9"
	if got := ask("10.0.0.1:1", good); got != good {
		t.Errorf("a trusted id became %q", got)
	}
	for _, id := range []string{ask("10.0.0.2:1", good), ask("10.0.0.1:1"), ask("10.0.0.1:1", good, good), ask("10.0.0.1:1", ""),
		ask("10.0.0.1:1", "a b"), ask("10.0.0.1:1", "a\nb"), ask("10.0.0.1:1", "é"), ask("10.0.0.1:1", strings.Repeat("a", 65))} {
		if !hexID.MatchString(id) {
			t.Errorf("got %q", id)
		}
	}
	if RequestID(context.Background()) != "" {
		t.Error("an id from nowhere")
	}
}

// Two loggers in one chain agree on the id and write one record each.
func TestTwoMiddlewares(t *testing.T) {
	a, bufA := newTest(t, Config{})
	b, bufB := newTest(t, Config{})
	h := Middleware(a, MiddlewareConfig{})(Middleware(b, MiddlewareConfig{})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	id := w.Header().Get("X-Request-ID")
	if line(t, bufA)["request_id"] != id || line(t, bufB)["request_id"] != id {
		t.Error("they disagree")
	}
}

func TestContextIDs(t *testing.T) {
	l, buf := newTest(t, Config{})
	h := Middleware(l, MiddlewareConfig{})(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		reqstate.FromContext(r.Context()).SetTrace([16]byte{0xab}, [8]byte{0xcd}, true)
		ctx, cancel := context.WithTimeout(r.Context(), time.Hour)
		defer cancel()
		l.Slog().With("a", 1).WithGroup("g").InfoContext(ctx, "inside", "b", 2)
		l.Slog().InfoContext(WithoutState(ctx), "outside")
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	all := lines(t, buf)
	for _, m := range []map[string]any{all[0], all[2]} {
		if m["request_id"] != w.Header().Get("X-Request-ID") || m["trace_id"] != "ab"+strings.Repeat("0", 30) || m["span_id"] != "cd"+strings.Repeat("0", 14) {
			t.Errorf("%v", m)
		}
	}
	if all[1]["request_id"] != nil {
		t.Errorf("%v", all[1])
	}
}

func TestLevelOfAccessRecords(t *testing.T) {
	l, buf := newTest(t, Config{Level: slog.LevelError})
	status := 200
	h := Middleware(l, MiddlewareConfig{})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	for _, status = range []int{200, 404, 499} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}
	if buf.Len() != 0 {
		t.Errorf("logged %s", buf)
	}
	status = 503
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if line(t, buf)["status"] != 503.0 {
		t.Error("a 503 is not logged")
	}
}

func TestNilLogger(t *testing.T) {
	for name, f := range map[string]func(){
		"Recover":    func() { Recover(nil) },
		"Middleware": func() { Middleware(nil, MiddlewareConfig{}) },
	} {
		func() {
			defer func() {
				if v := recover(); v != "logging: "+name+": the Logger is nil" {
					t.Errorf("recovered %v", v)
				}
			}()
			f()
		}()
	}
}
