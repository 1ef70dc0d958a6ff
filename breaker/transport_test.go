package breaker_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/breaker"
)

// A base is a RoundTripper that is a function.
type base func(*http.Request) (*http.Response, error)

func (f base) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(status int, body io.ReadCloser) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: body}
}

// through returns srv's client with a breaker in it.
func through(t *testing.T, srv *httptest.Server, b *breaker.Breaker) *http.Client {
	c := *srv.Client()
	c.Transport = breaker.NewTransport(c.Transport, b, breaker.TransportConfig{})
	t.Cleanup(c.CloseIdleConnections)
	return &c
}

// upstreams are ways to answer over a network, and what they say of the server.
var upstreams = map[string]struct {
	h    http.HandlerFunc
	want string
}{
	"200 of nothing": {func(http.ResponseWriter, *http.Request) {}, "success"},
	"200":            {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }, "success"},
	"204":            {status(204), "success"},
	"304":            {status(304), "success"},
	"404":            {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "none", 404) }, "success"},
	"429":            {status(429), "ignore"},
	"499":            {status(499), "ignore"},
	"500":            {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "bug", 500) }, "failure"},
	"503":            {status(503), "failure"},
	"early hints":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); stream(w, "x") }, "success"},
	"chunks":         {func(w http.ResponseWriter, _ *http.Request) { stream(w, "one"); stream(w, "two") }, "success"},
	"events":         {func(w http.ResponseWriter, _ *http.Request) { eventStream(w); stream(w, "data: x\n\n") }, "success"},
	"error event": {func(w http.ResponseWriter, _ *http.Request) {
		eventStream(w)
		stream(w, "data: x\n\nevent: er")
		stream(w, "ror\ndata: {}\n\n")
	}, "failure"},
	"error event at the very end": {func(w http.ResponseWriter, _ *http.Request) {
		eventStream(w)
		stream(w, "event: error")
	}, "failure"},
	"error event in a 400": {func(w http.ResponseWriter, _ *http.Request) {
		eventStream(w)
		w.WriteHeader(400)
		stream(w, "event: error\n\n")
	}, "success"},
	"no event stream": {func(w http.ResponseWriter, _ *http.Request) { stream(w, "event: error\n\n") }, "success"},
	"no answer":       {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "failure"},
	"cut after the first byte": {func(w http.ResponseWriter, _ *http.Request) {
		stream(w, "x")
		panic(http.ErrAbortHandler)
	}, "failure"},
	"cut short": {func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		stream(w, "four")
		panic(http.ErrAbortHandler)
	}, "failure"},
}

func TestTransportJudges(t *testing.T) {
	eachProtocol(t, func(t *testing.T, start func(http.HandlerFunc) *httptest.Server) {
		for name, tt := range upstreams {
			t.Run(name, func(t *testing.T) {
				b := breakerOf(t, breaker.Config{})
				srv := start(tt.h)
				c := through(t, srv, b)
				resp, err := c.Post(srv.URL, "text/plain", strings.NewReader("body")) // nothing is asked for twice
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					resp.Body.Close()
				}
				wantOutcome(t, b, tt.want)
				if strings.Contains(name, "cut") && err == nil {
					t.Error("the cut stayed hidden")
				}
			})
		}
	})
}

// A connection that closes after the first byte, without any protocol to it.
func TestTransportHijackAndClose(t *testing.T) {
	for name, raw := range map[string]string{
		"length": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx",
		"chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
		"events": "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: x\n\n\r\n",
	} {
		b := breakerOf(t, breaker.Config{})
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, raw)
			conn.Close()
		}))
		resp, err := through(t, srv, b).Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: error %v", name, err)
		}
		wantOutcome(t, b, "failure")
		resp.Body.Close()
		wantOutcome(t, b, "failure")
		srv.Close()
	}
}

// What ends before the body does: the reader has enough, gives up, or runs out of
// time. The upstream hears of it.
func TestTransportStreamHalfRead(t *testing.T) {
	eachProtocol(t, func(t *testing.T, start func(http.HandlerFunc) *httptest.Server) {
		for name, tt := range map[string]struct {
			end  func(cancel context.CancelFunc, body io.ReadCloser)
			want string
		}{
			"closed":                 {func(_ context.CancelFunc, body io.ReadCloser) { body.Close() }, "success"},
			"canceled, then closed":  {func(cancel context.CancelFunc, body io.ReadCloser) { cancel(); body.Close() }, "ignore"},
			"canceled, then read on": {func(cancel context.CancelFunc, body io.ReadCloser) { cancel(); _, _ = io.ReadAll(body) }, "ignore"},
		} {
			t.Run(name, func(t *testing.T) {
				b := breakerOf(t, breaker.Config{})
				gone := make(chan struct{})
				srv := start(func(w http.ResponseWriter, r *http.Request) {
					defer close(gone)
					stream(w, "token ")
					stream(w, "token ")
					<-r.Context().Done()
				})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				r, _ := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
				resp, err := through(t, srv, b).Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if _, err := io.ReadFull(resp.Body, make([]byte, 6)); err != nil {
					t.Fatal(err)
				}
				wantOutcome(t, b, "nothing")
				tt.end(cancel, resp.Body)
				<-gone
				wantOutcome(t, b, tt.want)
			})
		}
	})
}

// A server that trickles is there until our time is over, which is its failure.
func TestTransportTrickle(t *testing.T) {
	eachProtocol(t, func(t *testing.T, start func(http.HandlerFunc) *httptest.Server) {
		for name, read := range map[string]func(context.Context, io.ReadCloser) error{
			"read": func(_ context.Context, body io.ReadCloser) error {
				_, err := io.ReadAll(body)
				return err
			},
			"closed when the time was over": func(ctx context.Context, body io.ReadCloser) error {
				<-ctx.Done()
				return errors.Join(ctx.Err(), body.Close())
			},
		} {
			t.Run(name, func(t *testing.T) {
				b := breakerOf(t, breaker.Config{})
				begun := make(chan struct{})
				srv := start(func(w http.ResponseWriter, r *http.Request) {
					stream(w, "t")
					close(begun)
					for r.Context().Err() == nil {
						stream(w, "t")
						select {
						case <-r.Context().Done():
						case <-time.After(time.Millisecond):
						}
					}
				})
				// The time begins when the answer has, however slow the machine is.
				ctx := &expiring{Context: t.Context(), done: make(chan struct{})}
				r, _ := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
				resp, err := through(t, srv, b).Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				<-begun
				time.AfterFunc(20*time.Millisecond, func() { close(ctx.done) })
				if err := read(ctx, resp.Body); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error %v", err)
				}
				wantOutcome(t, b, "failure")
			})
		}
	})
}

// http.Client's Timeout is a deadline of ours, too, although it comes as a canceled
// request.
func TestTransportClientTimeout(t *testing.T) {
	eachProtocol(t, func(t *testing.T, start func(http.HandlerFunc) *httptest.Server) {
		for name, begin := range map[string]func(http.ResponseWriter){
			"no answer":   func(http.ResponseWriter) {},
			"in the body": func(w http.ResponseWriter) { stream(w, "x") },
		} {
			b := breakerOf(t, breaker.Config{})
			srv := start(func(w http.ResponseWriter, r *http.Request) {
				begin(w)
				<-r.Context().Done()
			})
			c := through(t, srv, b)
			c.Timeout = 100 * time.Millisecond
			resp, err := c.Get(srv.URL)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			var timeout interface{ Timeout() bool }
			if !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("%s: %v", name, err)
			}
			wantOutcome(t, b, "failure")
		}
	})
}

// expiring is a context whose deadline passes when done is closed.
type expiring struct {
	context.Context
	done chan struct{}
}

func (e *expiring) Done() <-chan struct{} { return e.done }
func (e *expiring) Err() error {
	select {
	case <-e.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestTransportErrors(t *testing.T) {
	gone, cancel := context.WithCancel(context.Background())
	boom := errors.New("boom")
	for name, tt := range map[string]struct {
		cfg  breaker.Config
		ctx  context.Context
		base base
		want string
	}{
		"error":            {base: func(*http.Request) (*http.Response, error) { return nil, boom }, want: "failure"},
		"deadline":         {base: func(*http.Request) (*http.Response, error) { return nil, context.DeadlineExceeded }, want: "failure"},
		"canceled further": {base: func(*http.Request) (*http.Response, error) { return nil, context.Canceled }, want: "ignore"},
		"inner breaker":    {base: func(*http.Request) (*http.Response, error) { return nil, &breaker.OpenError{} }, want: "ignore"},
		"caller left":      {ctx: gone, base: func(*http.Request) (*http.Response, error) { cancel(); return nil, boom }, want: "ignore"},
		"Classify": {
			cfg:  breaker.Config{Classify: func(error) breaker.Outcome { return breaker.Success }},
			base: func(*http.Request) (*http.Response, error) { return nil, boom }, want: "success",
		},
		"Classify panics": {
			cfg:  breaker.Config{Classify: func(error) breaker.Outcome { panic("a bug") }},
			base: func(*http.Request) (*http.Response, error) { return nil, boom }, want: "failure",
		},
		"neither":  {base: func(*http.Request) (*http.Response, error) { return nil, nil }, want: "failure"},
		"no body":  {base: func(*http.Request) (*http.Response, error) { return answer(200, nil), nil }, want: "success"},
		"panic":    {base: func(*http.Request) (*http.Response, error) { panic("a bug") }, want: "failure"},
		"abort":    {base: func(*http.Request) (*http.Response, error) { panic(http.ErrAbortHandler) }, want: "failure"},
		"Goexit":   {base: func(*http.Request) (*http.Response, error) { runtime.Goexit(); return nil, nil }, want: "failure"},
		"dead ctx": {ctx: canceled(), base: func(*http.Request) (*http.Response, error) { t.Error("called"); return nil, boom }, want: "nothing"},
	} {
		b := breakerOf(t, tt.cfg)
		if tt.ctx == nil {
			tt.ctx = t.Context()
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer func() {
				if v := recover(); (v != nil) != (strings.Contains(name, "panic") || name == "abort") {
					t.Errorf("%s: panic %v", name, v)
				}
			}()
			r := httptest.NewRequestWithContext(tt.ctx, "GET", "/", nil)
			_, _ = breaker.NewTransport(tt.base, b, breaker.TransportConfig{}).RoundTrip(r)
		}()
		<-done
		if got := reported(b); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func canceled() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errStop)
	return ctx
}

var errStop = errors.New("stop")

// A closer is a body that knows whether it was closed.
type closer struct {
	io.Reader
	closed int
}

func (c *closer) Close() error { c.closed++; return nil }

// Who gets no answer has the request's body closed all the same, and the request
// as it was.
func TestTransportRefuses(t *testing.T) {
	open := breakerOf(t, breaker.Config{})
	open.ForceOpen()
	for name, tt := range map[string]struct {
		ctx  context.Context
		b    *breaker.Breaker
		want error
	}{
		"open":     {t.Context(), open, breaker.ErrOpen},
		"dead ctx": {canceled(), breakerOf(t, breaker.Config{}), errStop},
	} {
		c := &http.Client{Transport: breaker.NewTransport(base(func(*http.Request) (*http.Response, error) {
			t.Error("called")
			return nil, errStop
		}), tt.b, breaker.TransportConfig{})}
		body := &closer{Reader: unread{t}}
		r, _ := http.NewRequestWithContext(tt.ctx, "POST", "http://a.example/", body)
		before := r.Clone(tt.ctx)
		before.Body = r.Body
		_, err := c.Do(r)
		if !errors.Is(err, tt.want) || body.closed == 0 || !reflect.DeepEqual(before, r) {
			t.Errorf("%s: error %v, closed %d times, request %+v", name, err, body.closed, r)
		}
		r, _ = http.NewRequestWithContext(tt.ctx, "GET", "http://a.example/", nil)
		if _, err = c.Do(r); !errors.Is(err, tt.want) {
			t.Errorf("%s, without a body: error %v", name, err)
		}
	}
}

func TestTransportPick(t *testing.T) {
	good, bad := breakerOf(t, breaker.Config{}), breakerOf(t, breaker.Config{})
	bad.ForceOpen()
	rt := breaker.NewTransport(base(func(*http.Request) (*http.Response, error) { return answer(204, http.NoBody), nil }), nil,
		breaker.TransportConfig{Pick: func(r *http.Request) *breaker.Breaker {
			return map[string]*breaker.Breaker{"good.example": good, "bad.example": bad}[r.URL.Host]
		}})
	for host, want := range map[string]error{"good.example": nil, "bad.example": breaker.ErrOpen, "other.example": nil} {
		r := httptest.NewRequest("GET", "http://"+host+"/", nil)
		if _, err := rt.RoundTrip(r); !errors.Is(err, want) {
			t.Errorf("%s: %v", host, err)
		}
	}
	wantOutcome(t, good, "success")
}

func TestTransportJudge(t *testing.T) {
	for code, want := range map[int]string{200: "success", 404: "failure", 500: "success", 599: "failure"} {
		b := breakerOf(t, breaker.Config{})
		body := &closer{Reader: strings.NewReader("x")}
		rt := breaker.NewTransport(base(func(*http.Request) (*http.Response, error) { return answer(code, body), nil }), b,
			breaker.TransportConfig{Judge: func(r *http.Request, status int) breaker.Outcome {
				switch status {
				case 404:
					return breaker.Failure
				case 599:
					panic(r.URL.Path)
				}
				return breaker.Success
			}})
		func() {
			defer func() {
				if v := recover(); (v != nil) != (code == 599) || v != nil && body.closed != 1 {
					t.Errorf("%d: panic %v, closed %d times", code, v, body.closed)
				}
			}()
			resp, err := rt.RoundTrip(httptest.NewRequest("GET", "/a", nil))
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.ReadAll(resp.Body)
		}()
		wantOutcome(t, b, want)
	}
}

// Where no body comes, nobody needs to read it.
func TestTransportWithoutABody(t *testing.T) {
	eachProtocol(t, func(t *testing.T, start func(http.HandlerFunc) *httptest.Server) {
		for _, tt := range []struct {
			method string
			h      http.HandlerFunc
		}{
			{"HEAD", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "10") }},
			{"GET", status(204)},
			{"GET", status(304)},
			{"GET", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "0") }},
		} {
			b := breakerOf(t, breaker.Config{})
			srv := start(tt.h)
			r, _ := http.NewRequestWithContext(t.Context(), tt.method, srv.URL, nil)
			resp, err := through(t, srv, b).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			wantOutcome(t, b, "success")
			resp.Body.Close()
			wantOutcome(t, b, "success")
		}
	})
	for code, method := range map[int]string{200: "HEAD", 204: "GET", 304: "GET"} { // of a base that wraps all bodies
		b := breakerOf(t, breaker.Config{})
		body := &closer{Reader: strings.NewReader("")}
		rt := breaker.NewTransport(base(func(*http.Request) (*http.Response, error) { return answer(code, body), nil }), b, breaker.TransportConfig{})
		resp, err := rt.RoundTrip(httptest.NewRequest(method, "/", nil))
		if err != nil || resp.Body != body {
			t.Errorf("%d: body %T, %v", code, resp.Body, err)
		}
		wantOutcome(t, b, "success")
	}
}

func TestTransportUpgrade(t *testing.T) {
	for name, viaProxy := range map[string]bool{"direct": false, "through a ReverseProxy": true} {
		t.Run(name, func(t *testing.T) {
			b := breakerOf(t, breaker.Config{})
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				conn, rw, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
				_ = rw.Flush()
				_, _ = io.Copy(conn, rw)
			}))
			defer srv.Close()
			c := through(t, srv, b)
			target := srv.URL
			if viaProxy {
				u, _ := url.Parse(srv.URL)
				front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }, Transport: c.Transport})
				defer front.Close()
				c, target = front.Client(), front.URL
			}
			r, _ := http.NewRequestWithContext(t.Context(), "GET", target, nil)
			r.Header.Set("Connection", "Upgrade")
			r.Header.Set("Upgrade", "echo")
			resp, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			rwc, ok := resp.Body.(io.ReadWriteCloser)
			if resp.StatusCode != 101 || !ok {
				t.Fatalf("%d, body %T", resp.StatusCode, resp.Body)
			}
			wantOutcome(t, b, "success")
			_, _ = io.WriteString(rwc, "hello\n")
			if line, err := bufio.NewReader(rwc).ReadString('\n'); line != "hello\n" {
				t.Errorf("%q, %v", line, err)
			}
		})
	}
}

// What can be written to is a connection, whatever the status: it is passed on.
func TestTransportTunnel(t *testing.T) {
	for _, code := range []int{101, 200} {
		b := breakerOf(t, breaker.Config{})
		conn := struct {
			io.Writer
			io.ReadCloser
		}{io.Discard, &closer{}}
		rt := breaker.NewTransport(base(func(*http.Request) (*http.Response, error) { return answer(code, conn), nil }), b, breaker.TransportConfig{})
		resp, err := rt.RoundTrip(httptest.NewRequest("GET", "/", nil))
		if err != nil || resp.Body != conn {
			t.Errorf("%d: body %T, %v", code, resp.Body, err)
		}
		wantOutcome(t, b, "success")
	}
}

func TestTransportInformational(t *testing.T) {
	eachProtocol(t, func(t *testing.T, start func(http.HandlerFunc) *httptest.Server) {
		b := breakerOf(t, breaker.Config{})
		srv := start(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</style.css>")
			w.WriteHeader(103)
			_, _ = io.WriteString(w, "x")
		})
		var hints []int
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				if h.Get("Link") != "" {
					hints = append(hints, code)
				}
				return nil
			},
		})
		r, _ := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
		resp, err := through(t, srv, b).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if len(hints) != 1 || hints[0] != 103 || string(body) != "x" {
			t.Errorf("hints %v, body %q", hints, body)
		}
		wantOutcome(t, b, "success")
	})
}

// A client that breaks off its upload does not open the breaker to everybody else.
func TestTransportUploadFails(t *testing.T) {
	eachProtocol(t, func(t *testing.T, start func(http.HandlerFunc) *httptest.Server) {
		b := breakerOf(t, breaker.Config{})
		srv := start(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
		body := io.NopCloser(io.MultiReader(strings.NewReader("half"), failing{errStop}))
		r, _ := http.NewRequestWithContext(t.Context(), "POST", srv.URL, body)
		if _, err := through(t, srv, b).Do(r); !errors.Is(err, errStop) {
			t.Errorf("error %v", err)
		}
		wantOutcome(t, b, "ignore")
	})
}

// The answer that breaks off because the upload did is not the server's fault.
func TestTransportUploadFailsDuringTheAnswer(t *testing.T) {
	b := breakerOf(t, breaker.Config{})
	rt := breaker.NewTransport(base(func(r *http.Request) (*http.Response, error) {
		return answer(200, &closer{Reader: r.Body}), nil // an echo
	}), b, breaker.TransportConfig{})
	resp, err := rt.RoundTrip(httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader("half"), failing{errStop})))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(resp.Body); string(got) != "half" || err != errStop {
		t.Errorf("%q, %v", got, err)
	}
	wantOutcome(t, b, "ignore")
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// A server that breaks off has the upload closed, and then reading that fails: not
// its fault.
func TestTransportUploadIsClosed(t *testing.T) {
	b := breakerOf(t, breaker.Config{})
	in, _ := io.Pipe()
	rt := breaker.NewTransport(base(func(r *http.Request) (*http.Response, error) {
		r.Body.Close()
		_, err := r.Body.Read(make([]byte, 1))
		return nil, err
	}), b, breaker.TransportConfig{})
	r := httptest.NewRequest("POST", "/", in)
	if _, err := rt.RoundTrip(r); err == nil {
		t.Error("no error")
	}
	wantOutcome(t, b, "failure")
}

// Only a body that may fail is wrapped; the response is that of the request as it
// was.
func TestTransportRequest(t *testing.T) {
	name := filepath.Join(t.TempDir(), "weights")
	if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for what, tt := range map[string]struct {
		body io.Reader
		same bool
	}{
		"none":      {nil, true},
		"no body":   {http.NoBody, true},
		"in memory": {bytes.NewReader([]byte("x")), true},
		"a file":    {file, true},
		"a stream":  {&closer{Reader: strings.NewReader("x")}, false},
	} {
		r, _ := http.NewRequestWithContext(t.Context(), "POST", "http://a.example/", tt.body)
		before := r.Body
		rt := breaker.NewTransport(base(func(got *http.Request) (*http.Response, error) {
			if same := got == r; same != tt.same {
				t.Errorf("%s: the same request: %v", what, same)
			}
			resp := answer(200, http.NoBody)
			resp.Request = got
			return resp, nil
		}), breakerOf(t, breaker.Config{}), breaker.TransportConfig{})
		resp, err := rt.RoundTrip(r)
		if err != nil || resp.Request != r || r.Body != before {
			t.Errorf("%s: %v, the request %+v", what, err, resp.Request)
		}
	}
}

// A gateway: both sides judge, and pass on what there is.
func TestTransportInAReverseProxy(t *testing.T) {
	eachProtocol(t, func(t *testing.T, start func(http.HandlerFunc) *httptest.Server) {
		for name, tt := range upstreams {
			t.Run(name, func(t *testing.T) {
				up, front := breakerOf(t, breaker.Config{}), breakerOf(t, breaker.Config{})
				srv := start(tt.h)
				u, _ := url.Parse(srv.URL)
				proxy := &httputil.ReverseProxy{
					Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(u) },
					Transport: through(t, srv, up).Transport,
					ErrorLog:  srv.Config.ErrorLog,
				}
				left := make(chan struct{})
				gw := start(leaves(breaker.Middleware(front, breaker.MiddlewareConfig{})(proxy), left).ServeHTTP)
				resp, err := gw.Client().Post(gw.URL, "text/plain", strings.NewReader("body"))
				if err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				<-left
				wantOutcome(t, up, tt.want)
				wantOutcome(t, front, tt.want)
			})
		}
	})
}

// While the backend's breaker is open, the gateway says so, and when to come back;
// its own breaker stays closed.
func TestTransportOpenInAReverseProxy(t *testing.T) {
	up, front := breakerOf(t, breaker.Config{}), breakerOf(t, breaker.Config{})
	up.ForceOpen()
	h := breaker.Middleware(front, breaker.MiddlewareConfig{})(&httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "a.example"}) },
		Transport:    breaker.NewTransport(nil, up, breaker.TransportConfig{}),
		ErrorHandler: breaker.WriteError,
	})
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	if rec.Code != 503 || rec.Header().Get("Retry-After") == "" || !strings.Contains(rec.Body.String(), "breaker-open") {
		t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	}
	wantOutcome(t, front, "ignore")
}

// A probe that has begun to answer has succeeded, and its time is over.
func TestTransportStreamAsAProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpen(t, breaker.Config{SlowAfter: time.Second})
		rt := breaker.NewTransport(base(func(*http.Request) (*http.Response, error) {
			return answer(200, &closer{Reader: strings.NewReader("token")}), nil
		}), b, breaker.TransportConfig{})
		resp, err := rt.RoundTrip(httptest.NewRequest("GET", "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		if s := b.State(); s != breaker.HalfOpen {
			t.Errorf("%v at the header", s)
		}
		_, _ = resp.Body.Read(make([]byte, 1))
		if s := b.State(); s != breaker.Recovering {
			t.Errorf("%v at the first byte", s)
		}
		pass(time.Hour)
		_, _ = io.ReadAll(resp.Body)
		if s := b.Stats(); s.Successes != 1 || s.Failures != 1 || s.Slow != 0 || s.ExpiredProbes != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// An error event that is the first thing to come is no answer to be glad of.
func TestTransportErrorEventAsAProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpen(t, breaker.Config{})
		rt := breaker.NewTransport(base(func(*http.Request) (*http.Response, error) {
			resp := answer(200, &closer{Reader: strings.NewReader("event: error\n\n")})
			resp.Header.Set("Content-Type", "text/event-stream")
			return resp, nil
		}), b, breaker.TransportConfig{})
		resp, err := rt.RoundTrip(httptest.NewRequest("GET", "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = resp.Body.Read(make([]byte, 100))
		if s := b.State(); s != breaker.Open {
			t.Errorf("%v", s)
		}
	})
}

type idler struct {
	base
	idle int
}

func (i *idler) CloseIdleConnections() { i.idle++ }

func TestTransportClosesIdleConnections(t *testing.T) {
	b, i := breakerOf(t, breaker.Config{}), &idler{}
	(&http.Client{Transport: breaker.NewTransport(i, b, breaker.TransportConfig{})}).CloseIdleConnections()
	if i.idle != 1 {
		t.Error("the base does not hear of it")
	}
	(&http.Client{Transport: breaker.NewTransport(i.base, b, breaker.TransportConfig{})}).CloseIdleConnections() // one that cannot
}

func TestTransportAllocations(t *testing.T) {
	resp := answer(200, nil)
	body := &closer{Reader: strings.NewReader("")}
	none := base(func(*http.Request) (*http.Response, error) { resp.Body = body; return resp, nil })
	rt := breaker.NewTransport(none, breakerOf(t, breaker.Config{}), breaker.TransportConfig{})
	r := httptest.NewRequest("GET", "/", nil)
	if n := testing.AllocsPerRun(1000, func() {
		resp, _ := rt.RoundTrip(r)
		_ = resp.Body.Close()
	}); n > 1 {
		t.Errorf("%v allocations, want that of the body's watch", n)
	}
}

func BenchmarkTransport(b *testing.B) {
	resp := answer(200, nil)
	body := &closer{Reader: strings.NewReader("")}
	none := base(func(*http.Request) (*http.Response, error) { resp.Body = body; return resp, nil })
	rt := breaker.NewTransport(none, breakerOf(b, breaker.Config{}), breaker.TransportConfig{})
	r := httptest.NewRequest("GET", "/", nil)
	b.ReportAllocs()
	for b.Loop() {
		resp, _ := rt.RoundTrip(r)
		_ = resp.Body.Close()
	}
}
