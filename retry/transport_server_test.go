package retry_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ballast-go/ballast/retry"
)

// every3rd is a server two of three of whose answers are 503, with a body of size.
func every3rd(size int, calls *atomic.Int32) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1)%3 != 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, strings.Repeat("x", size))
			return
		}
		_, _ = io.WriteString(w, "fine")
	}
}

// One connection does for all attempts, as their answers have been read.
func TestTransportReusesConnections(t *testing.T) {
	for name, cfg := range map[string]retry.Config{"": {}, "PerAttempt": {PerAttempt: time.Minute}} {
		var calls atomic.Int32
		url, base, conns := serve(t, every3rd(60<<10, &calls))
		cfg.Backoff, cfg.Budget = every(0), newBudget(t, 1, 1000)
		rt := retry.NewTransport(base, newRetrier(t, cfg), retry.TransportConfig{})
		for range 20 {
			if resp, body, err := get(t, rt, t.Context(), "GET", url); err != nil || resp.StatusCode != 200 || body != "fine" {
				t.Fatal(resp, body, err)
			}
		}
		if calls.Load() != 60 || conns.Load() != 1 {
			t.Errorf("%s: %d calls over %d connections, want 60 over 1", name, calls.Load(), conns.Load())
		}
		rt.(interface{ CloseIdleConnections() }).CloseIdleConnections()
		if _, _, err := get(t, rt, t.Context(), "GET", url); err != nil || conns.Load() != 2 {
			t.Errorf("%v; %d connections: CloseIdleConnections does not reach base", err, conns.Load())
		}
	}
}

// An answer that is long or never ends is not read to its end.
func TestTransportGivesUpOnLongAnswers(t *testing.T) {
	gone := make(chan struct{}, 8)
	var calls atomic.Int32
	url, base, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := calls.Add(1)
		if n == 3 {
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		piece := []byte("x") // trickles
		if n == 2 {
			piece = make([]byte, 32<<10) // never ends
		}
		for r.Context().Err() == nil {
			if _, err := w.Write(piece); err != nil || http.NewResponseController(w).Flush() != nil {
				break
			}
			if n == 1 {
				<-r.Context().Done()
			}
		}
		gone <- struct{}{}
	}))
	resp, _, err := get(t, retry.NewTransport(base, quick(t, 3), retry.TransportConfig{}), t.Context(), "GET", url)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	for range 2 {
		select {
		case <-gone:
		case <-time.After(20 * time.Second):
			t.Fatal("the server still writes")
		}
	}
}

// Header and body that come in pieces are waited for.
func TestTransportTrickle(t *testing.T) {
	url, base, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		for _, b := range []byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello") {
			if _, err := conn.Write([]byte{b}); err != nil {
				return
			}
		}
	}))
	r := newRetrier(t, retry.Config{PerAttempt: time.Minute})
	resp, body, err := get(t, retry.NewTransport(base, r, retry.TransportConfig{}), t.Context(), "GET", url)
	if err != nil || resp.StatusCode != 200 || body != "hello" {
		t.Error(resp, body, err)
	}
}

// A body that breaks off is the caller's to deal with.
func TestTransportNothingAfterTheAnswer(t *testing.T) {
	var calls atomic.Int32
	url, base, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "part")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	_, body, err := get(t, retry.NewTransport(base, quick(t, 3), retry.TransportConfig{}), t.Context(), "GET", url)
	if !errors.Is(err, io.ErrUnexpectedEOF) || body != "part" || calls.Load() != 1 {
		t.Errorf("%q, %v after %d calls", body, err, calls.Load())
	}
}

// A connection that is cut before the answer is an error, and tried again.
func TestTransportCutConnections(t *testing.T) {
	var calls atomic.Int32
	url, base, _ := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if calls.Add(1) < 3 {
			panic(http.ErrAbortHandler)
		}
	}))
	resp, _, err := get(t, retry.NewTransport(base, quick(t, 3), retry.TransportConfig{}), t.Context(), "GET", url)
	if err != nil || resp.StatusCode != 200 {
		t.Error(resp, err)
	}
}

// Answers without bodies, and what precedes answers.
func TestTransportBodilessAnswers(t *testing.T) {
	var calls atomic.Int32
	url, base, conns := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		switch {
		case calls.Add(1)%2 == 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.Method == http.MethodHead:
			w.Header().Set("Content-Length", "1000")
		default:
			w.WriteHeader(http.StatusNotModified)
		}
	}))
	r := newRetrier(t, retry.Config{PerAttempt: time.Minute, Backoff: every(0)})
	rt := retry.NewTransport(base, r, retry.TransportConfig{})
	hints := 0
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(int, textproto.MIMEHeader) error { hints++; return nil },
	})
	for method, want := range map[string]int{"HEAD": 200, "GET": 304} {
		resp, body, err := get(t, rt, ctx, method, url)
		if err != nil || resp.StatusCode != want || body != "" {
			t.Errorf("%s: %v, %q, %v", method, resp, body, err)
		}
	}
	if hints != 4 || conns.Load() != 1 {
		t.Errorf("%d early hints over %d connections, want 4 over 1", hints, conns.Load())
	}
}

// After a switch of protocols the connection is the caller's to write to.
func TestTransportUpgrade(t *testing.T) {
	url, base, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		line, _ := rw.ReadString('\n')
		_, _ = io.WriteString(conn, line)
	}))
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"echo"}}
	r := newRetrier(t, retry.Config{PerAttempt: time.Minute})
	resp, err := retry.NewTransport(base, r, retry.TransportConfig{Hedger: newHedgerFor(t, nil)}).RoundTrip(req)
	if err != nil || resp.StatusCode != 101 {
		t.Fatal(resp, err)
	}
	conn, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		t.Fatalf("%T cannot be written to", resp.Body)
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "ping\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); line != "ping\n" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
}

// Hedges over real connections: the loser's request ends, and no connection stays
// in use.
func TestTransportHedgeOverAServer(t *testing.T) {
	gone, more := make(chan struct{}), make(chan struct{})
	url, base, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/slow":
		case r.Header.Get(retry.AttemptHeader) == "":
			<-r.Context().Done()
			close(gone)
		default:
			_, _ = io.WriteString(w, "first ")
			_ = http.NewResponseController(w).Flush()
			<-more
			_, _ = io.WriteString(w, "second")
		}
	}))
	h := newHedgerFor(t, nil)
	rt := retry.NewTransport(base, newRetrier(t, retry.Config{}), retry.TransportConfig{Hedger: h})
	for range 40 {
		if _, _, err := get(t, rt, t.Context(), "GET", url); err != nil {
			t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", url+"/slow", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	within(t, gone, "the loser's request ends")
	close(more) // what comes after RoundTrip arrives as well
	data, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if string(data) != "first second" || err != nil {
		t.Errorf("%q, %v", data, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := h.Close(ctx); err != nil {
		t.Error(err)
	}
}

// Three layers that make three attempts each make 27 calls of one, if nobody tells
// the next. Here what serves a retry does not retry: 3, 1 and 1 calls of the second
// server's first, third and fifth call; 7 in all.
func TestNestedOverThreeServers(t *testing.T) {
	for told, want := range map[bool]int32{true: 7, false: 27} {
		var calls atomic.Int32
		url, base, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			calls.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
		}))
		layer := func() http.RoundTripper {
			return retry.NewTransport(base, quick(t, 3), retry.TransportConfig{})
		}
		for range 2 {
			next, rt := url, layer()
			var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				resp, _, err := get(t, rt, r.Context(), "GET", next)
				if err != nil {
					http.Error(w, fmt.Sprint(err), http.StatusBadGateway)
					return
				}
				w.WriteHeader(resp.StatusCode)
			})
			if told {
				h = retry.Middleware(retry.MiddlewareConfig{})(h)
			}
			url, base, _ = serve(t, h)
		}
		resp, _, err := get(t, layer(), t.Context(), "GET", url)
		if err != nil || resp.StatusCode != 503 || calls.Load() != want {
			t.Errorf("with Middleware %v: %v, %v; %d calls of the last, want %d", told, resp, err, calls.Load(), want)
		}
	}
}

// A deadline reaches the last of a chain of servers, and only ever gets shorter.
func TestDeadlineOverServers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var last atomic.Value
	h := http.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		deadline, _ := r.Context().Deadline()
		last.Store(deadline)
	}))
	url, base, _ := serve(t, retry.Middleware(retry.MiddlewareConfig{})(h))
	rt := retry.NewTransport(base, quick(t, 1), retry.TransportConfig{})
	front, base2, _ := serve(t, retry.Middleware(retry.MiddlewareConfig{})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, _, err := get(t, rt, r.Context(), "POST", url); err != nil {
			t.Error(err)
		}
	})))
	if _, _, err := get(t, retry.NewTransport(base2, quick(t, 1), retry.TransportConfig{}), ctx, "GET", front); err != nil {
		t.Fatal(err)
	}
	// Each hop counts from when it reads the header, so that the network's time is
	// not in it.
	ours, _ := ctx.Deadline()
	if theirs, ok := last.Load().(time.Time); !ok || theirs.IsZero() || theirs.After(ours.Add(10*time.Second)) {
		t.Errorf("the last server's deadline is %v, ours %v", theirs, ours)
	}
}
