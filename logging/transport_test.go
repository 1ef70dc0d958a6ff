package logging

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A caller is a client with a transport of ours and a buffer of its records.
func newCaller(t *testing.T, base http.RoundTripper, cfg TransportConfig) (*http.Client, *Logger, *bytes.Buffer) {
	t.Helper()
	l, buf := newTest(t, Config{Level: slog.LevelDebug})
	return &http.Client{Transport: NewTransport(base, l, cfg)}, l, buf
}

func newUpstream(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Start()
	t.Cleanup(srv.Close)
	return srv
}

func TestTransport(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/models/", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "answer")
	})
	mux.HandleFunc("/none", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	mux.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) })
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "part")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/drop", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	srv := newUpstream(t, mux)
	client, _, buf := newCaller(t, nil, TransportConfig{Level: slog.LevelDebug, Route: func(r *http.Request) string {
		if strings.HasPrefix(r.URL.Path, "/models/") {
			return "/models/{id}"
		}
		return ""
	}})
	host := strings.TrimPrefix(srv.URL, "http://")
	for _, tt := range []struct {
		path, body string
		fields     map[string]any
	}{
		{"/models/secret", "prompt", map[string]any{"level": "DEBUG", "status": 200.0, "route": "/models/{id}", "request_bytes": 6.0, "response_bytes": 6.0, "error_class": nil}},
		{"/none", "", map[string]any{"level": "DEBUG", "status": 204.0, "route": nil, "request_bytes": nil, "response_bytes": 0.0}},
		{"/broken", "", map[string]any{"level": "WARN", "status": 502.0, "error_class": nil}},
		{"/cut", "", map[string]any{"level": "WARN", "status": 200.0, "error_class": "cut", "response_bytes": 4.0}},
		{"/drop", "x", map[string]any{"level": "WARN", "status": nil, "error_class": "cut", "time_to_header_ms": nil}},
	} {
		resp, err := client.Post(srv.URL+tt.path+"?token=hunter2", "text/plain", strings.NewReader(tt.body))
		if err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		text := buf.String()
		if strings.Contains(text, "hunter2") || strings.Contains(text, "secret") {
			t.Error(text)
		}
		m := line(t, buf)
		want(t, m, tt.fields)
		want(t, m, map[string]any{"message": "call", "method": "POST", "host": host})
		if m["duration_ms"].(float64) <= 0 || m["status"] != nil && (m["time_to_header_ms"].(float64) <= 0 || m["time_to_header_ms"].(float64) > m["duration_ms"].(float64)) {
			t.Errorf("%s: %v", tt.path, m)
		}
	}
}

// The record is written once, at the body's end or when it is closed.
func TestTransportBodyEnds(t *testing.T) {
	srv := newUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "four")
		w.(http.Flusher).Flush()
		if r.URL.Path == "/stream" {
			<-r.Context().Done()
		}
	}))
	client, _, buf := newCaller(t, nil, TransportConfig{})
	resp, err := client.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	if buf.Len() != 0 {
		t.Error("written before the body has ended")
	}
	io.ReadAll(resp.Body)
	want(t, line(t, buf), map[string]any{"level": "INFO", "response_bytes": 4.0, "error_class": nil})
	resp.Body.Read(make([]byte, 1))
	resp.Body.Close()
	if buf.Len() != 0 {
		t.Errorf("written again: %s", buf)
	}

	if resp, err = client.Get(srv.URL + "/stream"); err != nil {
		t.Fatal(err)
	}
	io.ReadFull(resp.Body, make([]byte, 2))
	resp.Body.Close()
	want(t, line(t, buf), map[string]any{"level": "INFO", "response_bytes": 2.0, "error_class": nil})

	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", srv.URL+"/stream", nil)
	if resp, err = client.Do(req); err != nil {
		t.Fatal(err)
	}
	cancel()
	io.ReadAll(resp.Body)
	want(t, line(t, buf), map[string]any{"level": "INFO", "error_class": "canceled"})
	resp.Body.Close()

	ctx, cancel = context.WithTimeout(t.Context(), 0)
	defer cancel()
	req, _ = http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
	if _, err := client.Do(req); err == nil {
		t.Error("there was time")
	}
	want(t, line(t, buf), map[string]any{"level": "WARN", "error_class": "timeout"})
}

// What was upgraded can be written, and is passed on as it is.
func TestTransportUpgrade(t *testing.T) {
	srv := newUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		rw.Flush()
		text, _ := rw.ReadString('\n')
		rw.WriteString(text)
		rw.Flush()
	}))
	client, _, buf := newCaller(t, nil, TransportConfig{})
	req, _ := http.NewRequest("GET", srv.URL, nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	want(t, line(t, buf), map[string]any{"level": "INFO", "status": 101.0})
	conn, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		t.Fatalf("%T", resp.Body)
	}
	defer conn.Close()
	fmt.Fprintln(conn, "hello")
	if text, err := bufio.NewReader(conn).ReadString('\n'); text != "hello\n" {
		t.Errorf("%q %v", text, err)
	}
}

// The request's id travels, if that is wanted, unless there is one; the request is
// not changed, and is the answer's.
func TestTransportRequestID(t *testing.T) {
	var got []string
	srv := newUpstream(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header["X-Request-Id"] }))
	client, l, buf := newCaller(t, nil, TransportConfig{RequestIDHeader: "x-request-id"})
	quiet, err := New(Config{Output: io.Discard, Level: maxLevel})
	if err != nil {
		t.Fatal(err)
	}
	silent := &http.Client{Transport: NewTransport(nil, quiet, TransportConfig{RequestIDHeader: "X-Request-ID"})}
	h := Middleware(l, MiddlewareConfig{})(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for _, c := range []*http.Client{client, silent} {
			req, _ := http.NewRequestWithContext(r.Context(), "GET", srv.URL, nil)
			resp, err := c.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			if len(got) != 1 || got[0] != RequestID(r.Context()) || len(req.Header) != 0 || resp.Request != req {
				t.Errorf("sent %q, request has %v", got, req.Header)
			}
		}
		req, _ := http.NewRequestWithContext(r.Context(), "GET", srv.URL, nil)
		req.Header.Set("X-Request-ID", "mine")
		if resp, err := client.Do(req); err != nil || got[0] != "mine" {
			t.Errorf("%v %v", got, err)
		} else {
			resp.Body.Close()
		}
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	for _, m := range lines(t, buf) {
		want(t, m, map[string]any{"request_id": w.Header().Get("X-Request-ID")})
	}
	resp, err := client.Get(srv.URL)
	if err != nil || got != nil {
		t.Errorf("%v %v", got, err)
	}
	resp.Body.Close()
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestTransportBrokenBase(t *testing.T) {
	client, l, buf := newCaller(t, roundTrip(func(*http.Request) (*http.Response, error) { panic("boom") }), TransportConfig{})
	func() {
		defer func() {
			if v := recover(); v != "boom" {
				t.Error(v)
			}
		}()
		client.Get("http://example.com")
	}()
	want(t, line(t, buf), map[string]any{"level": "WARN", "error_class": "panic", "host": "example.com"})

	NewTransport(roundTrip(func(*http.Request) (*http.Response, error) { return nil, nil }), l, TransportConfig{}).RoundTrip(&http.Request{Method: "GET"})
	want(t, line(t, buf), map[string]any{"error_class": "other", "host": ""})
	l.SetLevel(slog.LevelError)
	client.Transport = NewTransport(roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("x") }), l, TransportConfig{})
	if _, err := client.Get("http://example.com"); err == nil || buf.Len() != 0 {
		t.Errorf("%v, logged %s", err, buf)
	}
	defer func() {
		if v := recover(); v != "logging: NewTransport: the Logger is nil" {
			t.Error(v)
		}
	}()
	NewTransport(nil, nil, TransportConfig{})
}

// writerTo is a body that would rather write itself.
type writerTo struct {
	io.Reader
	err error
}

func (w *writerTo) Close() error { return nil }
func (w *writerTo) WriteTo(to io.Writer) (int64, error) {
	n, err := io.WriteString(to, "four")
	if err == nil {
		err = w.err
	}
	return int64(n), err
}

func TestTransportWriterTo(t *testing.T) {
	body := new(writerTo)
	client, _, buf := newCaller(t, roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: body, ContentLength: -1, Request: r}, nil
	}), TransportConfig{})
	get := func(to io.Writer) *http.Response {
		resp, err := client.Get("http://example.com")
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := resp.Body.(io.WriterTo); !ok {
			t.Fatalf("%T", resp.Body)
		}
		io.Copy(to, resp.Body)
		return resp
	}
	get(io.Discard)
	want(t, line(t, buf), map[string]any{"response_bytes": 4.0, "error_class": nil})
	body.err = io.ErrUnexpectedEOF
	get(io.Discard)
	want(t, line(t, buf), map[string]any{"response_bytes": 4.0, "error_class": "cut"})
	resp := get(failing{}) // which is not the peer's doing
	if buf.Len() != 0 {
		t.Errorf("%s", buf)
	}
	resp.Body.Close()
	want(t, line(t, buf), map[string]any{"response_bytes": 0.0, "error_class": nil})
}

// An answer that breaks off is cut, whatever the protocol.
func TestTransportCut(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "four")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}))
		srv.EnableHTTP2 = h2
		srv.StartTLS()
		client, _, buf := newCaller(t, srv.Client().Transport, TransportConfig{})
		resp, err := client.Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(resp.Body); err == nil || (resp.ProtoMajor == 2) != h2 {
			t.Errorf("%v over %s", err, resp.Proto)
		}
		resp.Body.Close()
		want(t, line(t, buf), map[string]any{"level": "WARN", "status": 200.0, "error_class": "cut", "response_bytes": 4.0})
		srv.Close()
	}
}

type rejection struct{ error }

func (rejection) RetryDelay() time.Duration { return 0 }

func TestErrorClass(t *testing.T) {
	canceled, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("shutting down"))
	for want, errs := range map[string][]error{
		"canceled": {context.Canceled, fmt.Errorf("x: %w", context.Canceled)},
		"timeout":  {context.DeadlineExceeded, os.ErrDeadlineExceeded, &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, &net.DNSError{IsTimeout: true}},
		"dns":      {&net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}},
		"connect":  {&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}},
		"tls":      {&tls.CertificateVerificationError{}, tls.AlertError(42), tls.RecordHeaderError{}},
		"reset":    {&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, syscall.EPIPE},
		"cut":      {io.EOF, io.ErrUnexpectedEOF},
		"rejected": {fmt.Errorf("x: %w", rejection{errors.New("open")})},
		"other":    {errors.New("hunter2"), http.ErrSchemeMismatch},
	} {
		for _, err := range errs {
			if got := errorClass(t.Context(), err); got != want {
				t.Errorf("%v is %s, want %s", err, got, want)
			}
			if got := errorClass(canceled, err); got != "canceled" {
				t.Errorf("%v is %s", err, got)
			}
		}
	}
}

// In a bubble: the times are those of the call.
func TestTransportTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _, buf := newCaller(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return &http.Response{StatusCode: 200, Body: io.NopCloser(slow{}), ContentLength: -1, Request: r}, nil
		}), TransportConfig{})
		resp, err := client.Get("http://example.com")
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		want(t, line(t, buf), map[string]any{"time_to_header_ms": 1000.0, "duration_ms": 3000.0})
	})
}

type slow struct{}

func (slow) Read([]byte) (int, error) {
	time.Sleep(2 * time.Second)
	return 0, io.EOF
}

func TestTransportAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget")
	}
	l, err := New(Config{Output: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	resp := &http.Response{StatusCode: 200}
	base := roundTrip(func(r *http.Request) (*http.Response, error) {
		resp.Body, resp.ContentLength = http.NoBody, 0
		return resp, nil
	})
	tr := NewTransport(base, l, TransportConfig{})
	r := httptest.NewRequest("GET", "http://example.com/", nil)
	if n := testing.AllocsPerRun(200, func() { tr.RoundTrip(r) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

type idle struct {
	roundTrip
	closed *bool
}

func (i idle) CloseIdleConnections() { *i.closed = true }

// http.Client asks for it, and a request made by hand may lack a header.
func TestTransportOddities(t *testing.T) {
	closed, seen := false, ""
	base := idle{func(r *http.Request) (*http.Response, error) {
		seen = r.Header.Get("X-Request-Id")
		return &http.Response{StatusCode: 204, Request: r}, nil
	}, &closed}
	client, l, buf := newCaller(t, base, TransportConfig{RequestIDHeader: "X-Request-ID"})
	client.CloseIdleConnections()
	if !closed {
		t.Error("idle connections stay")
	}
	h := Middleware(l, MiddlewareConfig{})(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := client.Transport.RoundTrip((&http.Request{Method: "GET"}).WithContext(r.Context())); err != nil || seen != RequestID(r.Context()) {
			t.Errorf("%v, sent %q", err, seen)
		}
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	buf.Reset()

	// One that went well while the level was lower than when it began.
	resp := &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("x")), ContentLength: -1}
	tr := NewTransport(roundTrip(func(*http.Request) (*http.Response, error) { return resp, nil }), l, TransportConfig{})
	got, err := tr.RoundTrip(httptest.NewRequest("GET", "http://example.com/", nil))
	if err != nil {
		t.Fatal(err)
	}
	l.SetLevel(slog.LevelWarn)
	io.ReadAll(got.Body)
	if buf.Len() != 0 {
		t.Errorf("logged %s", buf)
	}
}
