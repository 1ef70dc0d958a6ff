package logging

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ballast-go/ballast/internal/problem"
	"github.com/ballast-go/ballast/internal/reqstate"
)

// want compares what m has of fields.
func want(t *testing.T, m map[string]any, fields map[string]any) {
	t.Helper()
	for key, value := range fields {
		if m[key] != value {
			t.Errorf("%s is %v, want %v, in %v", key, m[key], value, m)
		}
	}
}

// access returns the access record among those of one request.
func (s *site) access(t *testing.T, records int) map[string]any {
	t.Helper()
	var found map[string]any
	for _, m := range s.records.next(t, records) {
		if m["message"] == "request" {
			if found != nil {
				t.Errorf("two access records: %v, %v", found, m)
			}
			found = m
		}
	}
	return found
}

// What other middlewares were seen to get wrong, over a real server: each way a
// request ends is recorded as what it was, and the client is never told more than
// the truth.
func TestWhatOthersGetWrong(t *testing.T) {
	each(t, func(t *testing.T, http2 bool) {
		mux := http.NewServeMux()
		mux.HandleFunc("/panic-first", func(http.ResponseWriter, *http.Request) { panic("boom") })
		mux.HandleFunc("/panic-flushed", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "part")
			w.(http.Flusher).Flush()
			panic("boom")
		})
		mux.HandleFunc("/abort-first", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		mux.HandleFunc("/abort-flushed", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "part")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		})
		mux.HandleFunc("/hints", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusOK)
			io.WriteString(w, "whole")
		})
		mux.HandleFunc("/twice", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			w.WriteHeader(http.StatusOK)
		})
		mux.HandleFunc("/short", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "part")
		})
		mux.HandleFunc("/upload", func(w http.ResponseWriter, r *http.Request) {
			io.CopyN(io.Discard, r.Body, 1000)
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		})
		s := newSite(t, mux, http2)
		for _, tt := range []struct {
			path    string
			cut     bool // the client must see that the answer is not whole
			records int
			fields  map[string]any
		}{
			{"/panic-first", false, 2, map[string]any{"status": 500.0, "outcome": "panic", "level": "ERROR", "sent_status": nil}},
			{"/panic-flushed", true, 2, map[string]any{"status": 500.0, "sent_status": 200.0, "outcome": "panic", "level": "ERROR", "bytes_out": 4.0}},
			{"/abort-first", true, 1, map[string]any{"status": 500.0, "sent_status": 0.0, "outcome": "aborted", "level": "ERROR"}},
			{"/abort-flushed", true, 1, map[string]any{"status": 500.0, "sent_status": 200.0, "outcome": "upstream-cut", "level": "ERROR"}},
			{"/hints", false, 1, map[string]any{"status": 200.0, "sent_status": nil, "outcome": "complete", "level": "INFO", "bytes_out": 5.0}},
			{"/twice", false, 1, map[string]any{"status": 404.0, "sent_status": nil, "outcome": "complete", "level": "INFO"}},
			{"/short", true, 1, map[string]any{"status": 500.0, "sent_status": 200.0, "outcome": "upstream-cut", "bytes_out": 4.0}},
		} {
			resp, body, err := s.get(t, tt.path+"?token=hunter2&access_token=hunter2")
			if (err != nil) != tt.cut {
				t.Errorf("%s: the client got %v, %q, %v", tt.path, resp, body, err)
			}
			m := s.access(t, tt.records)
			want(t, m, tt.fields)
			want(t, m, map[string]any{"route": tt.path})
			if text := fmt.Sprint(m); strings.Contains(text, "hunter2") || strings.Contains(text, "token") {
				t.Errorf("the query is logged: %s", text)
			}
		}
		resp, err := s.Client().Post(s.URL+"/upload", "text/plain", strings.NewReader(strings.Repeat("x", 5000)))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		want(t, s.access(t, 1), map[string]any{"status": 413.0, "bytes_in": 1000.0, "method": "POST"})
	})
}

// A client can make a record long by no header, method or path.
func TestLongHeaders(t *testing.T) {
	s := newSite(t, http.NotFoundHandler(), false)
	req, _ := http.NewRequest(strings.Repeat("M", 100_000), s.URL+"/"+strings.Repeat("p", 100_000)+"?q="+strings.Repeat("q", 100_000), nil)
	req.Header.Set("User-Agent", strings.Repeat("u", 700_000))
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	<-s.records.got
	s.records.mu.Lock()
	defer s.records.mu.Unlock()
	if n := s.records.buf.Len(); n > 1024 {
		t.Errorf("%d bytes: %s", n, s.records.buf.Bytes()[:n])
	}
}

// A client that goes away in the middle of a stream is no failure of the service,
// and the facts of the stream are there.
func TestClientLeavesStream(t *testing.T) {
	each(t, func(t *testing.T, http2 bool) {
		s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for r.Context().Err() == nil {
				io.WriteString(w, "data: token\n\n")
				w.(http.Flusher).Flush()
			}
		}), http2)
		ctx, leave := context.WithCancel(t.Context())
		req, _ := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
		resp, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, 13)); err != nil {
			t.Error(err)
		}
		leave()
		resp.Body.Close()
		m := s.access(t, 1)
		want(t, m, map[string]any{"status": 499.0, "sent_status": 200.0, "outcome": "client-gone", "level": "INFO"})
		if m["chunks"].(float64) < 1 || m["time_to_first_byte_ms"].(float64) <= 0 || m["bytes_out"].(float64) < 13 {
			t.Errorf("%v", m)
		}
	})
}

func TestHijackedRecord(t *testing.T) {
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		rw.Flush()
	}), false)
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != 101 {
		t.Errorf("%v %v", resp, err)
	}
	want(t, s.access(t, 1), map[string]any{"status": 101.0, "sent_status": nil, "outcome": "hijacked", "level": "INFO"})
}

// A request that was turned away is a warning, with the reason; a failure is an
// error; and a route's level is the least.
func TestAccessLevels(t *testing.T) {
	l, buf := newTest(t, Config{Level: slog.LevelDebug})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, r, 503, "", "draining", 0)
	})
	mux.HandleFunc("GET /down", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	mux.HandleFunc("GET /refused", func(w http.ResponseWriter, r *http.Request) {
		reqstate.FromContext(r.Context()).SetRefused()
		w.WriteHeader(503)
	})
	mux.HandleFunc("GET /locked", func(w http.ResponseWriter, r *http.Request) { problem.Write(w, r, 503, "", "auth-unavailable", 0) })
	mux.HandleFunc("GET /limited", func(w http.ResponseWriter, r *http.Request) { problem.Write(w, r, 429, "", "rate", 0) })
	mux.HandleFunc("GET /broken", func(w http.ResponseWriter, r *http.Request) { problem.Write(w, r, 500, "", "odd", 0) })
	mux.HandleFunc("GET /admin", func(http.ResponseWriter, *http.Request) {})
	levels := map[string]slog.Level{"/healthz": slog.LevelDebug, "/readyz": slog.LevelDebug, "/admin": slog.LevelError + 4}
	h := Middleware(l, MiddlewareConfig{Levels: levels})(mux)
	clear(levels) // Middleware has its own
	for _, tt := range [][3]any{
		{"/healthz", "DEBUG", nil}, {"/readyz", "WARN", "draining"}, {"/down", "ERROR", nil}, {"/refused", "WARN", "refused"},
		{"/locked", "ERROR", "auth-unavailable"}, {"/limited", "INFO", "rate"}, {"/broken", "ERROR", "odd"}, {"/admin", "ERROR+4", nil}, {"/none", "INFO", nil},
	} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", tt[0].(string), nil))
		want(t, line(t, buf), map[string]any{"level": tt[1], "reason": tt[2]})
	}
	l.SetLevel(slog.LevelInfo)
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/healthz", nil))
	if buf.Len() != 0 {
		t.Errorf("logged %s", buf)
	}
}

// A gRPC call's record has what is a call's.
func TestAccessOfCalls(t *testing.T) {
	l, buf := newTest(t, Config{})
	s := reqstate.NewCall(t.Context(), "/kserve.Inference/ModelInfer", "10.0.0.1:5", "grpc-go/1.60")
	s.SetRequestID("r-1")
	s.Received()
	s.Sent()
	AddAttrs(s, slog.String("model_id", "digits"))
	s.SetReason("draining")
	s.JoinCall(finisher(func(rec *reqstate.Record) { l.WriteAccess(rec, nil, nil) }), func(*reqstate.State) {})
	s.EndCall(reqstate.CallEnd{Returned: true, Code: 14})
	m := line(t, buf)
	want(t, m, map[string]any{
		"rpc": "/kserve.Inference/ModelInfer", "code": 14.0, "messages_in": 1.0, "chunks": 1.0, "outcome": "error-event", "level": "WARN",
		"reason": "draining", "remote": "10.0.0.1:5", "user_agent": "grpc-go/1.60", "request_id": "r-1", "model_id": "digits",
		"status": nil, "method": nil, "route": nil, "bytes_out": nil, "sent_status": nil,
	})
}

type finish struct{ f func(*reqstate.Record) }

func (f *finish) Finish(rec *reqstate.Record) { f.f(rec) }

func finisher(f func(*reqstate.Record)) *finish { return &finish{f} }

func TestAddAttrs(t *testing.T) {
	l, buf := newTest(t, Config{})
	var late context.Context
	h := Middleware(l, MiddlewareConfig{})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		late = r.Context()
		ctx, cancel := context.WithTimeout(late, time.Hour)
		defer cancel()
		AddAttrs(ctx, slog.String("model_id", "digits"), slog.Group("batch", slog.Int("size", 8)), slog.String("api_key", "hunter2"))
		AddAttrs(ctx, slog.Any("lazy", lazy{}), slog.String("status", "mine"), slog.String("long", strings.Repeat("x", 1<<20)), Keep())
		AddAttrs(WithoutState(ctx), slog.Int("elsewhere", 1))
		for i := range 100 {
			AddAttrs(ctx, slog.Int("n", i))
		}
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	AddAttrs(late, slog.Int("late", 1))
	AddAttrs(t.Context(), slog.Int("nowhere", 1))
	text := buf.String()
	if len(text) > 20<<10 || strings.Contains(text, "hunter2") || strings.Count(text, `"n":`) != 32-7 {
		t.Errorf("%d bytes: %.2000s", len(text), text)
	}
	m := line(t, buf)
	want(t, m, map[string]any{"model_id": "digits", "api_key": "[redacted]", "lazy": "resolved", "status": 200.0, "attr.status": "mine",
		"late": nil, "elsewhere": nil, "": nil})
	if b, _ := m["batch"].(map[string]any); b["size"] != 8.0 {
		t.Errorf("%v", m["batch"])
	}
}

type lazy struct{}

func (lazy) LogValue() slog.Value { return slog.StringValue("resolved") }

func TestQueryAndHeader(t *testing.T) {
	l, buf := newTest(t, Config{RedactKeys: []string{"pin"}})
	h := Middleware(l, MiddlewareConfig{Query: []string{"model", "v", "model"}, Header: []string{"x-tenant", "X-Trace-Hint", "X-Many", "x-many", "X-Tenant"}})(
		http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			r.Header.Set("X-Tenant", "changed")
			r.URL.RawQuery = "model=changed"
		}))
	r := httptest.NewRequest("GET", "/?token=hunter2&mo%64el=digits%0Alarge&model=second&v="+strings.Repeat("9", 1000), nil)
	r.Header.Set("X-Tenant", "acme\x1b[31m")
	r.Header["X-Many"] = []string{"a", "b"}
	r.Header.Set("Authorization", "Bearer hunter2")
	h.ServeHTTP(httptest.NewRecorder(), r)
	if text := buf.String(); strings.Contains(text, "hunter2") || strings.Contains(text, "\x1b") || len(text) > 1000 {
		t.Error(text)
	}
	if text := buf.String(); strings.Count(text, `"model":`) != 1 || strings.Count(text, `"x-many":`) != 1 {
		t.Error(text)
	}
	m := line(t, buf)
	query, headers := m["query"].(map[string]any), m["headers"].(map[string]any)
	want(t, query, map[string]any{"model": "digits\nlarge", "v": strings.Repeat("9", maxField)})
	want(t, headers, map[string]any{"x-tenant": "acme\x1b[31m", "x-many": "a, b"})
	if len(query) != 2 || len(headers) != 2 {
		t.Errorf("%v %v", query, headers)
	}

	r = httptest.NewRequest("GET", "/?v=1&v=2", nil)
	r.Header["X-Many"] = slices.Repeat([]string{"abcd"}, 10_000)
	h.ServeHTTP(httptest.NewRecorder(), r)
	m = line(t, buf)
	if many := m["headers"].(map[string]any)["x-many"].(string); len(many) != maxField || m["query"].(map[string]any)["v"] != "1" {
		t.Errorf("%v", m)
	}

	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/?other=1", nil))
	want(t, line(t, buf), map[string]any{"query": nil, "headers": nil})

	for _, cfg := range []MiddlewareConfig{
		{Header: []string{"X-Ok", "authorization"}}, {Header: []string{"Cookie"}}, {Header: []string{"X-Api-Key"}}, {Query: []string{"access_token"}},
		{Query: []string{"code"}}, {Query: []string{"sig"}}, {RequestIDHeader: "X Request"}, {RequestIDHeader: "X-Id\r\nX"},
		{Query: []string{"pin"}}, {Query: []string{""}}, {Header: slices.Repeat([]string{"X-A"}, 33)}, {Query: []string{strings.Repeat("x", 129)}},
		{Sample: &Sample{Ratio: 2}}, {Sample: &Sample{SlowerThan: -1}},
	} {
		func() {
			defer func() {
				v, _ := recover().(string)
				if !strings.HasPrefix(v, "logging: MiddlewareConfig.") && !strings.HasPrefix(v, "logging: Sample.") {
					t.Errorf("%+v: panicked with %q", cfg, v)
				}
			}()
			Middleware(l, cfg)
		}()
	}
}

// Two of them, with the same Logger or not, each capture for themselves.
func TestQueryOfTwoMiddlewares(t *testing.T) {
	a, bufA := newTest(t, Config{})
	b, bufB := newTest(t, Config{})
	h := Middleware(a, MiddlewareConfig{Query: []string{"a"}})(Middleware(b, MiddlewareConfig{Query: []string{"b"}})(http.NotFoundHandler()))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/?a=1&b=2", nil))
	if q := line(t, bufA)["query"]; fmt.Sprint(q) != "map[a:1]" {
		t.Error(q)
	}
	if q := line(t, bufB)["query"]; fmt.Sprint(q) != "map[b:2]" {
		t.Error(q)
	}
}

// Failing writers cost the requests nothing.
func TestOutputFails(t *testing.T) {
	for _, w := range []io.Writer{panicking{}, failing{}} {
		l, err := New(Config{Output: w})
		if err != nil {
			t.Fatal(err)
		}
		rec := httptest.NewRecorder()
		Recover(l)(Middleware(l, MiddlewareConfig{})(http.NotFoundHandler())).ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
		if rec.Code != 404 || l.Stats().Failed != 1 {
			t.Errorf("%T: %d, %+v", w, rec.Code, l.Stats())
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }
