package breaker_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/breaker"
)

// A timer that is to stop at the header cancels with a deadline for a cause, as
// package retry's does: what hangs is a failure, on every way in.
func TestTransportCanceledByADeadline(t *testing.T) {
	hangs := base(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	b := breakerOf(t, breaker.Config{})
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(time.Millisecond, func() { cancel(context.DeadlineExceeded) })
	r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
	_, _ = breaker.NewTransport(hangs, b, breaker.TransportConfig{}).RoundTrip(r)
	wantOutcome(t, b, "failure")

	for name, end := range map[string]func(io.ReadCloser){
		"read":  func(body io.ReadCloser) { _, _ = io.ReadAll(body) },
		"close": func(body io.ReadCloser) { _ = body.Close() },
	} {
		b := breakerOf(t, breaker.Config{})
		ctx, cancel := context.WithCancelCause(t.Context())
		body := bodyOf(t, ctx, b, io.NopCloser(failing{context.Canceled}))
		cancel(context.DeadlineExceeded)
		end(body)
		t.Log(name)
		wantOutcome(t, b, "failure")
	}
}

// A client that leaves, and whose handler then says 502 to nobody, opens nothing.
func TestMiddlewareErrorForNobody(t *testing.T) {
	b := breakerOf(t, breaker.Config{})
	h := breaker.Middleware(b, breaker.MiddlewareConfig{})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		w.WriteHeader(http.StatusBadGateway)
		stream(w, "the backend's call was canceled")
	}))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/", nil))
	wantOutcome(t, b, "ignore")
}

// A request whose body is no body says nothing of the service, whatever it makes of
// that.
func TestMiddlewareBadUpload(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer backend.Close()
	to, _ := url.Parse(backend.URL)
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	reads := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	for name, tc := range map[string]struct {
		h     http.Handler
		judge func(*http.Request, int) breaker.Outcome
	}{
		"proxy":   {h: proxy},
		"handler": {h: reads},
		"aborts": {h: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			panic(http.ErrAbortHandler)
		})},
		"cuts": {h: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).EnableFullDuplex()
			stream(w, "x")
			_, _ = io.ReadAll(r.Body)
			panic(http.ErrAbortHandler)
		})},
		"handler, judged": {reads, func(*http.Request, int) breaker.Outcome { return breaker.Failure }},
	} {
		for upload, text := range map[string]string{
			"malformed": "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
			"too slow":  "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
		} {
			t.Run(name+" "+upload, func(t *testing.T) {
				b := breakerOf(t, breaker.Config{})
				done := make(chan struct{})
				outer := breakerOf(t, breaker.Config{})
				inner := breaker.Middleware(b, breaker.MiddlewareConfig{Judge: tc.judge})(tc.h)
				inner = breaker.Middleware(outer, breaker.MiddlewareConfig{})(inner)
				srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer close(done)
					_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(50 * time.Millisecond))
					defer func() {
						if v := recover(); v != nil && v != http.ErrAbortHandler {
							t.Error(v)
						}
					}()
					inner.ServeHTTP(w, r)
				}))
				srv.Config.ErrorLog = log.New(io.Discard, "", 0)
				srv.Start()
				defer srv.Close()
				conn, err := net.Dial("tcp", srv.Listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				fmt.Fprint(conn, text)
				<-done
				wantOutcome(t, b, "ignore")
				wantOutcome(t, outer, "ignore")
			})
		}
	}
}

// slowly is a body that takes a minute to come.
type slowly struct{ io.Reader }

func (s slowly) Read(p []byte) (int, error) {
	pass(time.Minute)
	return s.Reader.Read(p)
}

// A client that is slow to send its request makes no slow service; a service that is
// slow before or after that is one.
func TestMiddlewareSlowUpload(t *testing.T) {
	for name, tc := range map[string]struct {
		h    http.HandlerFunc
		slow uint64
	}{
		"short":  {func(http.ResponseWriter, *http.Request) {}, 0},
		"stream": {func(w http.ResponseWriter, _ *http.Request) { stream(w, "x"); pass(time.Hour) }, 0},
		"works":  {func(http.ResponseWriter, *http.Request) { pass(2 * time.Second) }, 1},
		"begins late": {func(w http.ResponseWriter, _ *http.Request) {
			pass(2 * time.Second)
			stream(w, "x")
		}, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := breakerOf(t, breaker.Config{SlowAfter: time.Second})
			h := breaker.Middleware(b, breaker.MiddlewareConfig{})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.ReadAll(r.Body)
				tc.h(w, r)
			}))
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/", slowly{strings.NewReader("x")}))
			if s := b.Stats(); s.Slow != tc.slow || s.Successes != 1 {
				t.Errorf("%s: %+v", name, s)
			}
		})
	}
}

// Who is turned away while probes are out was told to come back when they expire,
// which is in 30 s, though most answer within milliseconds.
func TestRetryAfterWhileProbesAreOut(t *testing.T) {
	b, c := newBreaker(t, breaker.Config{ConsecutiveFailures: 1, Probes: 1}), newClock()
	for range 20 { // the open time grows
		c.fail(t, b, 1)
		c.t = b.Gate()
	}
	c.allow(t, b)
	if e := c.refused(t, b); e.RetryAfter > time.Second {
		t.Error(e.RetryAfter)
	}
	b.ForceOpen()
	if e := c.refused(t, b); e.RetryAfter > time.Second {
		t.Error(e.RetryAfter)
	}
}
