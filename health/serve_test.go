package health_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/health"
)

// serving is Serve at work.
type serving struct {
	h         *health.Health
	addr      string
	terminate context.CancelFunc // as SIGTERM
	result    chan error
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// run has Serve run an HTTP server in front of whatever else c has.
func run(t *testing.T, delay time.Duration, server *http.Server, c health.ServeConfig) *serving {
	t.Helper()
	h, err := health.New(health.Config{DrainDelay: delay})
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t)
	c.Servers = append([]health.Server{{Listener: l, HTTP: server}}, c.Servers...)
	ctx, terminate := context.WithCancel(context.Background())
	s := &serving{h, l.Addr().String(), terminate, make(chan error, 1)}
	go func() { s.result <- health.Serve(ctx, h, c) }()
	t.Cleanup(terminate)
	return s
}

// end waits for Serve.
func (s *serving) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-s.result:
		return err
	case <-time.After(30 * time.Second):
		t.Fatal("Serve does not return")
		return nil
	}
}

func client(t testing.TB) *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// body returns the status and the body, and fails t if the answer is not whole.
func body(t *testing.T, c *http.Client, url string) (*http.Response, string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Error(err)
		return &http.Response{}, ""
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("%s: %v after %q", url, err, text)
	}
	return resp, string(text)
}

func TestServeDrainsInOrder(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-finish
		_, _ = io.WriteString(w, "done")
	})
	var order []string
	var s *serving
	var states sync.Map
	server := &http.Server{Handler: mux, ConnState: func(_ net.Conn, state http.ConnState) { states.Store(state, true) }}
	wrong := errors.New("wrong")
	s = run(t, 2*time.Second, server, health.ServeConfig{
		Close: []func(context.Context) error{
			func(ctx context.Context) error {
				order = append(order, "first")
				if _, err := net.Dial("tcp", s.addr); err == nil {
					t.Error("still listening while closing")
				}
				if _, ok := ctx.Deadline(); !ok || ctx.Err() != nil {
					t.Error("no deadline for closing")
				}
				return wrong
			},
			func(context.Context) error { order = append(order, "second"); return nil },
		},
	})
	c, slow := client(t), client(t)
	if resp, _ := body(t, c, "http://"+s.addr+"/"); resp.StatusCode != 200 || resp.Close {
		t.Errorf("before: %d, close %v", resp.StatusCode, resp.Close)
	}
	inFlight := make(chan string)
	go func() {
		_, text := body(t, slow, "http://"+s.addr+"/slow")
		inFlight <- text
	}()
	<-begun
	s.terminate()
	<-s.h.Draining()
	wantIs(t, "Ready", s.h.Ready(), health.ErrDraining)
	for range 3 { // the first takes the open connection, the others new ones
		if resp, _ := body(t, c, "http://"+s.addr+"/"); resp.StatusCode != 200 || !resp.Close {
			t.Errorf("while draining: %d, close %v", resp.StatusCode, resp.Close)
		}
	}
	for { // until nothing is accepted
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	select {
	case err := <-s.result:
		t.Fatalf("Serve returned with a request in flight: %v", err)
	default:
	}
	close(finish)
	if got := <-inFlight; got != "done" {
		t.Errorf("in flight: %q", got)
	}
	if err := s.end(t); err == nil || err.Error() != "health: serve: Close[0]: wrong" {
		t.Errorf("Serve = %v, want what Close returned", err)
	}
	if fmt.Sprint(order) != "[first second]" {
		t.Errorf("closed %v", order)
	}
	if _, told := states.Load(http.StateActive); !told {
		t.Error("the server's own ConnState was not called")
	}
}

// stream writes an event every now and then, until it is told to part.
func stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	_, _ = io.WriteString(w, "data: hello\n\n")
	_ = control.Flush()
	<-r.Context().Done()
	if errors.Is(context.Cause(r.Context()), health.ErrDraining) {
		_, _ = io.WriteString(w, "event: error\ndata: draining\n\n")
	}
}

// own is a context key of a user's.
type own struct{}

func TestServeTellsStreamsToPart(t *testing.T) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(strings.ReplaceAll(proto, "/", "-"), func(t *testing.T) {
			t.Parallel()
			scheme := "http"
			server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if (r.Context().Value(own{}) != nil) != (r.ProtoMajor == 2) {
					t.Error("the server's own BaseContext was not kept")
				}
				stream(w, r)
			})}
			if proto == "HTTP/2.0" {
				scheme = "https"
				server.TLSConfig = certificate(t)
				server.BaseContext = func(net.Listener) context.Context { return context.WithValue(context.Background(), own{}, 1) }
			}
			s := run(t, -1, server, health.ServeConfig{ShutdownTimeout: 3 * time.Second})
			resp, err := client(t).Get(scheme + "://" + s.addr)
			if err != nil {
				t.Fatal(err)
			}
			if resp.Proto != proto {
				t.Errorf("speaks %s", resp.Proto)
			}
			events := bufio.NewReader(resp.Body)
			if line, err := events.ReadString('\n'); line != "data: hello\n" {
				t.Fatalf("%q, %v", line, err)
			}
			s.terminate()
			rest, err := io.ReadAll(events)
			if want := "\nevent: error\ndata: draining\n\n"; err != nil || string(rest) != want {
				t.Errorf("the client saw %q, %v; want %q and a proper end", rest, err, want)
			}
			if err := s.end(t); err != nil {
				t.Errorf("Serve = %v", err)
			}
		})
	}
}

// certificate is httptest's.
func certificate(t *testing.T) *tls.Config {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	return &tls.Config{Certificates: s.TLS.Certificates}
}

func TestServeCutsWhatDoesNotPart(t *testing.T) {
	t.Parallel()
	begun, gone := make(chan struct{}), make(chan struct{})
	defer close(gone)
	s := run(t, -1, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		close(begun)
		<-gone
	})}, health.ServeConfig{ShutdownTimeout: 200 * time.Millisecond})
	resp, err := client(t).Get("http://" + s.addr)
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	s.terminate()
	if text, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("a stream that was cut looks complete: %q", text)
	}
	err = s.end(t)
	wantIs(t, "Serve", err, context.DeadlineExceeded)
	wantText(t, "Serve", err, "health: serve: server 0 on "+s.addr+": requests were cut: ")
}

// http.Server.Shutdown alone drops these.
func TestServeReadsWhatItHasAccepted(t *testing.T) {
	t.Parallel()
	accepted := make(chan struct{}, 2)
	s := run(t, -1, &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") }),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				accepted <- struct{}{}
			}
		},
	}, health.ServeConfig{})
	var conns [2]net.Conn // the second sends nothing
	for i := range conns {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		conns[i] = conn
		<-accepted
	}
	s.terminate()
	<-s.h.Draining()
	if _, err := io.WriteString(conns[0], "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Error(err)
	}
	if text, err := io.ReadAll(conns[0]); err != nil || !strings.HasSuffix(string(text), "served") || !strings.Contains(string(text), "Connection: close\r\n") {
		t.Errorf("%q, %v", text, err)
	}
	if text, err := io.ReadAll(conns[1]); err != nil || len(text) > 0 {
		t.Errorf("a connection without a request: %q, %v", text, err)
	}
	if err := s.end(t); err != nil {
		t.Errorf("Serve = %v", err)
	}
}

// frames speaks HTTP/2 by hand: RFC 9113.
type frames struct{ conn *tls.Conn }

func (f frames) write(t *testing.T, kind, flags, stream byte, payload string) {
	t.Helper()
	frame := []byte{0, 0, byte(len(payload)), kind, flags, 0, 0, 0, stream}
	if _, err := f.conn.Write(append(frame, payload...)); err != nil {
		t.Fatal(err)
	}
}

// goaway reads until a GOAWAY frame, and returns the last stream it names.
func (f frames) goaway(t *testing.T) byte {
	t.Helper()
	for {
		var head [9]byte
		if _, err := io.ReadFull(f.conn, head[:]); err != nil {
			t.Fatalf("no GOAWAY: %v", err)
		}
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(f.conn, payload); err != nil {
			t.Fatal(err)
		}
		if head[3] == 7 {
			return payload[3]
		}
	}
}

func TestServeSendsGOAWAY(t *testing.T) {
	t.Parallel()
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), TLSConfig: certificate(t)}
	s := run(t, 2*time.Second, server, health.ServeConfig{})
	open := func() frames {
		conn, err := tls.Dial("tcp", s.addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		f := frames{conn}
		f.write(t, 4, 0, 0, "") // SETTINGS
		return f
	}
	request := func(f frames) {
		// HEADERS that end the stream: GET https:/ of authority a.
		f.write(t, 1, 5, 1, "\x82\x87\x84\x41\x01a")
	}
	idle, busy := open(), open()
	request(idle)
	s.terminate()
	<-s.h.Draining()
	request(busy)
	busy.goaway(t)
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatalf("GOAWAY came when the server shut down, not with the next response: %v", err)
	}
	_ = conn.Close()
	idle.goaway(t) // when the server shuts down
	if err := s.end(t); err != nil {
		t.Errorf("Serve = %v", err)
	}
}

// A balancer that asks for readiness and heeds it, and clients that keep their
// connections: not one request fails while the service goes.
func TestServeLosesNoRequest(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	var s *serving
	ready := make(chan http.Handler, 1)
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) {
		h := <-ready
		ready <- h
		h.ServeHTTP(w, r)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		select { // some take longer than the others
		case <-time.After(time.Duration(r.ContentLength) * time.Millisecond):
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, "served")
	})
	s = run(t, time.Second, &http.Server{Handler: mux}, health.ServeConfig{})
	ready <- s.h.ReadyHandler()
	var out atomic.Bool // of the balancer's
	var served atomic.Int64
	var all sync.WaitGroup
	for i := range 8 {
		c := client(t)
		all.Go(func() {
			for n := 0; !out.Load(); n++ {
				resp, err := c.Post("http://"+s.addr, "text/plain", strings.NewReader(strings.Repeat("x", (i*n)%40)))
				if err != nil {
					t.Error(err)
					return
				}
				text, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || string(text) != "served" {
					t.Errorf("%q, %v", text, err)
				}
				served.Add(1)
			}
		})
	}
	all.Go(func() {
		c := client(t)
		for !out.Load() {
			if resp, _ := body(t, c, "http://"+s.addr+"/readyz"); resp.StatusCode != 200 {
				out.Store(true)
			}
			if served.Load() > 100 {
				s.terminate()
			}
		}
	})
	all.Wait()
	if err := s.end(t); err != nil {
		t.Errorf("Serve = %v", err)
	}
	if n := served.Load(); n <= 100 {
		t.Errorf("%d requests", n)
	}
}

// graceful is a GracefulServer whose streams never end by themselves.
type graceful struct {
	stopped   chan struct{}
	stop      sync.Once
	stubborn  bool
	graceful  atomic.Int32
	listening chan struct{}
}

func newGraceful(stubborn bool) *graceful {
	return &graceful{stopped: make(chan struct{}), stubborn: stubborn, listening: make(chan struct{})}
}

func (g *graceful) Serve(l net.Listener) error {
	close(g.listening)
	<-g.stopped
	return l.Close()
}

func (g *graceful) GracefulStop() {
	g.graceful.Add(1)
	if !g.stubborn {
		g.Stop()
	}
	<-g.stopped
}

func (g *graceful) Stop() { g.stop.Do(func() { close(g.stopped) }) }

func TestServeBoundsGracefulStop(t *testing.T) {
	t.Parallel()
	fine, stubborn := newGraceful(false), newGraceful(true)
	l := listen(t)
	s := run(t, -1, &http.Server{}, health.ServeConfig{
		ShutdownTimeout: 200 * time.Millisecond,
		Servers:         []health.Server{{Listener: listen(t), GRPC: fine}, {Listener: l, GRPC: stubborn}},
	})
	<-fine.listening
	<-stubborn.listening
	s.terminate()
	err := s.end(t)
	wantIs(t, "Serve", err, context.DeadlineExceeded)
	want := "health: serve: server 2 on " + l.Addr().String() + ": calls were cut: context deadline exceeded"
	if err.Error() != want || fine.graceful.Load() != 1 || stubborn.graceful.Load() != 1 {
		t.Errorf("got %q, want %q; GracefulStop was called %d and %d times", err, want, fine.graceful.Load(), stubborn.graceful.Load())
	}
}

// Half of a service is worse than none: who fails ends the others, without delay.
func TestServeEndsWhenAServerFails(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}), make(chan struct{})
	l := listen(t)
	broken := &http.Server{}
	s := run(t, time.Hour, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-finish
		_, _ = io.WriteString(w, "done")
	})}, health.ServeConfig{Servers: []health.Server{{Listener: l, HTTP: broken}}, GracePeriod: -1})
	text := make(chan string)
	go func() {
		_, got := body(t, client(t), "http://"+s.addr)
		text <- got
	}()
	<-begun
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	<-s.h.Draining()
	close(finish)
	if got := <-text; got != "done" {
		t.Errorf("in flight: %q", got)
	}
	err := s.end(t)
	wantIs(t, "Serve", err, net.ErrClosed)
	wantText(t, "Serve", err, "health: serve: server 1 on "+l.Addr().String()+": ")
	wantIs(t, "Ready", s.h.Ready(), health.ErrDraining)
}

// A handler that answers an upgrade has a Connection header of its own.
func TestServeLeavesUpgradesAlone(t *testing.T) {
	t.Parallel()
	s := run(t, 2*time.Second, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Connection", "Upgrade")
		w.Header().Set("Upgrade", "echo")
		w.WriteHeader(http.StatusSwitchingProtocols)
	})}, health.ServeConfig{})
	s.terminate()
	<-s.h.Draining()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Values("Connection"); resp.StatusCode != 101 || len(got) != 1 || got[0] != "Upgrade" {
		t.Errorf("%d, Connection: %q", resp.StatusCode, got)
	}
	_ = conn.Close()
	if err := s.end(t); err != nil {
		t.Errorf("Serve = %v", err)
	}
}

func TestServeRefusesWhatCannotWork(t *testing.T) {
	h := start(t, health.Config{DrainDelay: 7 * time.Second})
	l := listen(t)
	defer func() { _ = l.Close() }()
	fine := []health.Server{{Listener: l, HTTP: new(http.Server)}}
	for want, c := range map[string]health.ServeConfig{
		"health: ServeConfig.Servers: is empty": {},
		"health: ServeConfig.Servers[0].Listener: is nil\n" +
			"health: ServeConfig.Servers[0]: exactly one of HTTP and GRPC must be set\n" +
			"health: ServeConfig.Servers[1]: exactly one of HTTP and GRPC must be set\n" +
			"health: ServeConfig.Close[0]: is nil\n" +
			"health: ServeConfig.ShutdownTimeout: -1ns is not between 1ms and 24h0m0s\n" +
			"health: ServeConfig.CloseTimeout: 25h0m0s is not between 1ms and 24h0m0s\n" +
			"health: ServeConfig.PreStop: -1ns is not between 0 and 24h0m0s": {
			Servers:         []health.Server{{}, {Listener: l, HTTP: new(http.Server), GRPC: newGraceful(false)}},
			ShutdownTimeout: -1, CloseTimeout: 25 * time.Hour, PreStop: -1,
			Close: []func(context.Context) error{nil},
		},
		"health: ServeConfig.GracePeriod: 30s is not above PreStop 6s + Config.DrainDelay 7s + ShutdownTimeout 15s + CloseTimeout 2s = 30s": {
			Servers: fine, PreStop: 6 * time.Second,
		},
		"health: ServeConfig.GracePeriod: 20s is not above PreStop 0s + Config.DrainDelay 7s + ShutdownTimeout 12s + CloseTimeout 1.001s = 20.001s": {
			Servers: fine, ShutdownTimeout: 12 * time.Second, CloseTimeout: 1001 * time.Millisecond, GracePeriod: 20 * time.Second,
		},
	} {
		if err := health.Serve(t.Context(), h, c); err == nil || err.Error() != want {
			t.Errorf("got:\n%v\nwant:\n%s", err, want)
		}
	}
	if err := h.Ready(); err != nil {
		t.Errorf("a refusal touched the Health: %v", err)
	}
	if conn, err := net.Dial("tcp", l.Addr().String()); err != nil {
		t.Errorf("a refusal closed the listener: %v", err)
	} else {
		_ = conn.Close()
	}
}

// What ends badly takes neither the time nor the turn of those after it.
func TestServeClosesTheRestWhateverHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		defer close(hang)
		h, err := health.New(health.Config{
			Readiness:  []health.Check{{Name: "stuck", Func: func(context.Context) error { <-hang; return nil }}},
			DrainDelay: -1,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, terminate := context.WithCancel(t.Context())
		terminate()
		flushed := false
		begin := time.Now()
		server := newGraceful(false)
		err = health.Serve(ctx, h, health.ServeConfig{
			Servers:      []health.Server{{Listener: bubbleListener{}, GRPC: server}},
			CloseTimeout: 5 * time.Second,
			Close: []func(context.Context) error{
				func(context.Context) error { panic("oops") },
				func(context.Context) error { runtime.Goexit(); return nil },
				func(context.Context) error { <-hang; return nil },
				func(ctx context.Context) error { flushed = ctx.Err() == nil; return nil },
			},
		})
		wantText(t, "Serve", err, "still running: check stuck",
			"\nhealth: serve: Close[0]: panicked: oops (", "\nhealth: serve: Close[1]: ended its goroutine by runtime.Goexit",
			"\nhealth: serve: Close[2]: still running: context deadline exceeded")
		if took := time.Since(begin); !flushed || took >= 5*time.Second {
			t.Errorf("the last was called with time left: %v, after %v", flushed, took)
		}
	})
}

// bubbleListener belongs to no network, so that a bubble's clock runs.
type bubbleListener struct{}

func (bubbleListener) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (bubbleListener) Close() error              { return nil }
func (bubbleListener) Addr() net.Addr            { return &net.TCPAddr{} }

// A server whose Stop waits for a handler as long as GracefulStop does.
func TestServeBoundsStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		defer close(hang)
		h := start(t, health.Config{DrainDelay: -1})
		ctx, terminate := context.WithCancel(t.Context())
		terminate()
		begin := time.Now()
		err := health.Serve(ctx, h, health.ServeConfig{
			Servers: []health.Server{{Listener: bubbleListener{}, GRPC: stuck(hang)}},
			Close:   []func(context.Context) error{func(context.Context) error { <-hang; return nil }},
		})
		if took := time.Since(begin); took > 17*time.Second {
			t.Errorf("it took %v, above ShutdownTimeout + CloseTimeout", took)
		}
		wantIs(t, "Serve", err, context.DeadlineExceeded)
		wantText(t, "Serve", err, "calls were cut", "GracefulStop or Stop still hangs")
	})
}

type stuck chan struct{}

func (s stuck) Serve(net.Listener) error { <-s; return nil }
func (s stuck) GracefulStop()            { <-s }
func (s stuck) Stop()                    { <-s }

// One http.Server on two listeners, which the race detector watches.
func TestServeOneServerOnTwoListeners(t *testing.T) {
	t.Parallel()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") })}
	second := listen(t)
	s := run(t, -1, server, health.ServeConfig{Servers: []health.Server{{Listener: second, HTTP: server}}})
	for _, addr := range []string{s.addr, second.Addr().String()} {
		if _, text := body(t, client(t), "http://"+addr); text != "served" {
			t.Errorf("%s: %q", addr, text)
		}
	}
	s.terminate()
	if err := s.end(t); err != nil {
		t.Errorf("Serve = %v", err)
	}
}
