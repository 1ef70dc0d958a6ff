package tracing_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/ballast-go/ballast/internal/spantest"
	"github.com/ballast-go/ballast/tracing"
)

// echoHeader answers with the fields that tell of a context.
var echoHeader = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	for _, f := range []string{"Traceparent", "Tracestate", "Baggage"} {
		for _, v := range r.Header[f] {
			fmt.Fprintf(w, "%s: %s\n", f, v)
		}
	}
})

func client(p trace.TracerProvider, cfg tracing.TransportConfig) *http.Client {
	return &http.Client{Transport: tracing.NewTransport(nil, p, cfg)}
}

func ask(t *testing.T, c *http.Client, ctx context.Context, url string, header ...string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	sent := r.Header.Clone()
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if fmt.Sprint(r.Header) != fmt.Sprint(sent) {
		t.Errorf("the caller's request has changed: %v", r.Header)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestTransport(t *testing.T) {
	s := httptest.NewServer(echoHeader)
	defer s.Close()
	p := &spantest.Provider{}
	ctx, parent := p.Tracer("").Start(t.Context(), "parent")
	body := ask(t, client(p, tracing.TransportConfig{}), ctx, strings.Replace(s.URL, "://", "://user:secret@", 1)+"/a/secret?secret=1")
	span := p.Spans()[1]
	d := span.Data()
	sc := span.SpanContext()
	if body != fmt.Sprintf("Traceparent: 00-%s-%s-01\n", sc.TraceID(), sc.SpanID()) {
		t.Errorf("sent %q of %v", body, sc)
	}
	if d.Name != "GET" || d.Kind != trace.SpanKindClient || d.Ends != 1 || !d.Parent.Equal(parent.SpanContext()) || d.Status != codes.Unset {
		t.Errorf("%+v", d)
	}
	u, _ := url.Parse(s.URL)
	want(t, span, "http.request.method", "GET", "url.scheme", "http", "server.address", u.Hostname(), "server.port", u.Port(),
		"http.response.status_code", "200", "http.response.body.size", fmt.Sprint(len(body)), "url.full", "", "http.request.resend_count", "")
	if strings.Contains(span.String(), "secret") {
		t.Errorf("%v", span)
	}
}

func TestTransportRecordsPath(t *testing.T) {
	p := &spantest.Provider{}
	s := httptest.NewServer(echoHeader)
	defer s.Close()
	ask(t, client(p, tracing.TransportConfig{RecordPath: true}), t.Context(), strings.Replace(s.URL, "://", "://user:secret@", 1)+"/a%2Fb?secret=1#secret")
	want(t, only(t, p), "url.full", s.URL+"/a%2Fb")
}

// What a request brings along of contexts is not passed on, whatever the span.
func TestTransportOwnsItsFields(t *testing.T) {
	s := httptest.NewServer(echoHeader)
	defer s.Close()
	forged := []string{"Traceparent", traceparent, "Traceparent", traceparent, "Tracestate", "evil=1", "Baggage", "evil=1"}
	p := &spantest.Provider{Never: true}
	if got := ask(t, client(p, tracing.TransportConfig{}), t.Context(), s.URL, forged...); strings.Contains(got, traceID) ||
		strings.Contains(got, "evil") || !strings.HasSuffix(got, "-00\n") || strings.Count(got, "\n") != 1 {
		t.Errorf("unsampled: %q", got)
	}
	if got := ask(t, client(noop.NewTracerProvider(), tracing.TransportConfig{}), t.Context(), s.URL, forged...); got != "" {
		t.Errorf("noop: %q", got)
	}
	if got := ask(t, client(&spantest.Provider{}, tracing.TransportConfig{Baggage: func(*http.Request) bool { return true }}),
		t.Context(), s.URL, forged...); strings.Contains(got, "evil") {
		t.Errorf("with baggage allowed: %q", got)
	}
}

func TestTransportBaggageAndState(t *testing.T) {
	s := httptest.NewServer(echoHeader)
	defer s.Close()
	b, err := baggage.Parse("tenant=x")
	if err != nil {
		t.Fatal(err)
	}
	state, err := trace.ParseTraceState("a=1")
	if err != nil {
		t.Fatal(err)
	}
	ctx := baggage.ContextWithBaggage(t.Context(), b)
	ctx = trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: [16]byte{1}, SpanID: [8]byte{2}, TraceFlags: trace.FlagsSampled, TraceState: state,
	}))
	for _, to := range []bool{true, false} {
		got := ask(t, client(&spantest.Provider{}, tracing.TransportConfig{Baggage: func(*http.Request) bool { return to }}), ctx, s.URL)
		if strings.Contains(got, "Baggage: tenant=x\n") != to || !strings.Contains(got, "Tracestate: a=1\n") {
			t.Errorf("%v: %q", to, got)
		}
	}
}

// A call's span is the parent of its attempts', and nobody is told of it.
func TestTransportCall(t *testing.T) {
	s := httptest.NewServer(echoHeader)
	defer s.Close()
	p := &spantest.Provider{}
	attempts := tracing.NewTransport(nil, p, tracing.TransportConfig{})
	twice := roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := attempts.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		resp.Body.Close()
		r = r.Clone(r.Context())
		r.Header.Set("X-Envoy-Attempt-Count", "2")
		return attempts.RoundTrip(r)
	})
	c := &http.Client{Transport: tracing.NewTransport(twice, p, tracing.TransportConfig{Call: true})}
	ask(t, c, t.Context(), s.URL)
	spans := p.Ended()
	if len(spans) != 3 {
		t.Fatalf("%v", spans)
	}
	call := spans[0].Data()
	if call.Name != "call GET" || call.Kind != trace.SpanKindInternal {
		t.Errorf("%+v", call)
	}
	for i, attempt := range spans[1:] {
		if d := attempt.Data(); d.Parent.SpanID() != spans[0].SpanContext().SpanID() || d.Kind != trace.SpanKindClient {
			t.Errorf("%+v", d)
		}
		want(t, attempt, "http.request.resend_count", []string{"", "1"}[i])
	}
}

func TestTransportRedirects(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/end" {
			http.Redirect(w, r, "/end", http.StatusFound)
		}
	}))
	defer s.Close()
	p := &spantest.Provider{}
	resp, err := client(p, tracing.TransportConfig{}).Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	want(t, p.Ended()[1], "http.request.resend_count", "1")
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type failing struct {
	io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err == io.EOF {
		err = f.err
	}
	return n, err
}

func (f *failing) Close() error { return nil }

func TestTransportOutcomes(t *testing.T) {
	read := func(resp *http.Response) { _, _ = io.Copy(io.Discard, resp.Body) }
	answer := func(status int, err error) roundTripper {
		return func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, ContentLength: -1, Body: &failing{strings.NewReader("part"), err}}, nil
		}
	}
	fail := func(err error) roundTripper {
		return func(*http.Request) (*http.Response, error) { return nil, err }
	}
	for name, tt := range map[string]struct {
		base    roundTripper
		use     func(*http.Response)
		err     string
		size    string
		outcome string
	}{
		"read":         {answer(200, io.EOF), read, "", "4", ""},
		"closed":       {answer(200, io.EOF), func(*http.Response) {}, "", "0", ""},
		"404":          {answer(404, io.EOF), read, "404", "4", ""},
		"429":          {answer(429, io.EOF), read, "", "4", ""},
		"503":          {answer(503, io.EOF), read, "503", "4", ""},
		"cut":          {answer(200, io.ErrUnexpectedEOF), read, "unexpected_eof", "4", ""},
		"reset":        {answer(200, fmt.Errorf("read: %w", syscall.ECONNRESET)), read, "connection_reset", "4", ""},
		"canceled":     {answer(200, context.Canceled), read, "", "", "canceled"},
		"refused":      {fail(fmt.Errorf("secret: %w", syscall.ECONNREFUSED)), nil, "connection_refused", "0", ""},
		"timed out":    {fail(context.DeadlineExceeded), nil, "timeout", "0", ""},
		"canceled too": {fail(fmt.Errorf("secret: %w", context.Canceled)), nil, "", "", "canceled"},
		"own":          {fail(fmt.Errorf("secret: %w", userError{"secret"})), nil, "tracing_test.userError", "0", ""},
	} {
		p := &spantest.Provider{}
		rt := tracing.NewTransport(tt.base, p, tracing.TransportConfig{})
		r := httptest.NewRequest("GET", "http://example.test/", nil)
		resp, err := rt.RoundTrip(r)
		if (err != nil) != (tt.use == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			tt.use(resp)
			resp.Body.Close()
			resp.Body.Close()
		}
		span := only(t, p)
		want(t, span, "error.type", tt.err, "ballast.outcome", tt.outcome, "http.response.body.size", tt.size)
		if (span.Data().Status == codes.Error) != (tt.err != "") || strings.Contains(span.String(), "secret") {
			t.Errorf("%s: %v", name, span)
		}
	}
}

func TestTransportEndAtHeader(t *testing.T) {
	s := httptest.NewServer(echoHeader)
	defer s.Close()
	p := &spantest.Provider{}
	resp, err := client(p, tracing.TransportConfig{EndAtHeader: true}).Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	want(t, only(t, p), "http.response.body.size", "")
	resp.Body.Close()
	only(t, p)
}

// What was upgraded is still a connection.
func TestTransportUpgrade(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		line, _ := rw.ReadString('\n')
		_, _ = io.WriteString(conn, line)
	}))
	defer s.Close()
	p := &spantest.Provider{}
	r, _ := http.NewRequestWithContext(t.Context(), "GET", s.URL, nil)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "echo")
	resp, err := client(p, tracing.TransportConfig{}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	rw, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		t.Fatalf("a %T", resp.Body)
	}
	want(t, only(t, p), "http.response.status_code", "101")
	_, _ = io.WriteString(rw, "hello\n")
	if got, err := io.ReadAll(rw); string(got) != "hello\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// Panics and Goexit of the base go on, and end the span.
func TestTransportPanics(t *testing.T) {
	for name, base := range map[string]roundTripper{
		"panic":  func(*http.Request) (*http.Response, error) { panic("boom") },
		"goexit": func(*http.Request) (*http.Response, error) { runtime.Goexit(); return nil, nil },
	} {
		p := &spantest.Provider{}
		rt := tracing.NewTransport(base, p, tracing.TransportConfig{})
		done := make(chan any)
		go func() {
			defer func() { done <- recover() }()
			_, _ = rt.RoundTrip(httptest.NewRequest("GET", "http://example.test/", nil))
		}()
		if v := <-done; (v != nil) != (name == "panic") {
			t.Errorf("%s: %v", name, v)
		}
		want(t, only(t, p), "error.type", "panic")
	}
}

// Canceling and closing while somebody reads ends the span once.
func TestTransportCloseWhileReading(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer s.Close()
	p := &spantest.Provider{}
	resp, err := client(p, tracing.TransportConfig{}).Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan error)
	go func() {
		_, err := io.Copy(io.Discard, resp.Body)
		read <- err
	}()
	resp.Body.Close()
	<-read
	only(t, p)
}

func TestTransportSendsTheBody(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	defer s.Close()
	resp, err := client(&spantest.Provider{}, tracing.TransportConfig{}).Post(s.URL, "", bytes.NewReader([]byte("body")))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Request.Header["Traceparent"] != nil {
		t.Error("the answer's request is not the caller's")
	}
	if got, _ := io.ReadAll(resp.Body); string(got) != "body" {
		t.Errorf("%q", got)
	}
}

// A base of one's own may not say that nothing follows.
func TestTransportTwoWayBody(t *testing.T) {
	type twoWay struct {
		io.ReadCloser
		io.Writer
	}
	body := &twoWay{http.NoBody, io.Discard}
	p := &spantest.Provider{}
	rt := tracing.NewTransport(roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 101, ContentLength: -1, Body: body}, nil
	}), p, tracing.TransportConfig{})
	resp, err := rt.RoundTrip(httptest.NewRequest("GET", "http://example.test/", nil))
	if err != nil || resp.Body != body {
		t.Errorf("a %T, %v", resp.Body, err)
	}
	only(t, p)
}

// What fails after the caller has canceled fails for that, whatever is said.
func TestTransportCanceled(t *testing.T) {
	p := &spantest.Provider{}
	ctx, cancel := context.WithCancel(t.Context())
	rt := tracing.NewTransport(roundTripper(func(*http.Request) (*http.Response, error) {
		cancel()
		return nil, syscall.EPIPE
	}), p, tracing.TransportConfig{})
	_, _ = rt.RoundTrip(httptest.NewRequestWithContext(ctx, "GET", "http://example.test/", nil))
	want(t, only(t, p), "error.type", "", "ballast.outcome", "canceled")
}
