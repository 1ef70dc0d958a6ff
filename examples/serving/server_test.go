package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-go/ballast/health"
	"github.com/ballast-go/ballast/logging"
	"github.com/ballast-go/ballast/metrics"
)

// bare is a service without models: its chain and server take a test's handlers.
func bare(t *testing.T, args ...string) (*service, *lockedBuffer) {
	t.Helper()
	cfg, err := parseConfig(args, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	out := new(lockedBuffer)
	s := &service{cfg: cfg}
	var errs [5]error
	s.logger, errs[0] = logging.New(logging.Config{Output: out})
	registry := prometheus.NewRegistry()
	s.metrics, errs[1] = metrics.New(metrics.Config{Registerer: registry})
	s.health, errs[2] = health.New(health.Config{DrainDelay: drainDelay(cfg)})
	s.limits, errs[3] = newLimits(cfg, registry)
	s.log = s.logger.Slog()
	s.traces, errs[4] = newTraces(cfg, s.log, registry)
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s, out
}

// pipeListener serves in-memory connections, which synctest bubbles can wait for.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
	dials atomic.Int64
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.IPAddr{} }

func (l *pipeListener) dial() net.Conn {
	client, server := net.Pipe()
	l.dials.Add(1)
	l.conns <- server
	return client
}

// bubble runs srv in the caller's bubble.
func bubble(t *testing.T, srv *http.Server) *pipeListener {
	l := newPipeListener()
	done := make(chan struct{})
	go func() { srv.Serve(l); close(done) }()
	t.Cleanup(func() {
		srv.Close()
		<-done
	})
	return l
}

// client speaks HTTP/1.1, or the protocols given, and reuses connections.
func (l *pipeListener) client(t *testing.T, p *http.Protocols) *http.Client {
	tr := &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return l.dial(), nil },
		Protocols:   p,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// A client that is too slow, idle or verbose loses its connection.
func TestServerLimits(t *testing.T) {
	for _, tt := range []struct {
		name, send string
		status     int // of the last answer; 0 if there is none
		after      time.Duration
	}{
		{"silent", "", 0, 2 * time.Second},
		{"slow header", "GET /livez HTTP/1.1\r\nHost:", 0, 2 * time.Second},
		{"slow body", "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{", 408, 3 * time.Second},
		{"slow body in chunks", "POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", 408, 3 * time.Second},
		{"idle", "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", 200, 5 * time.Second},
		{"large header", "GET /livez HTTP/1.1\r\nHost: x\r\nX-Large: " + strings.Repeat("x", 32<<10), 431, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := bare(t, "-read-header-timeout=2s", "-read-timeout=3s", "-idle-timeout=5s", "-write-timeout=1s")
				conn := bubble(t, s.server(s.handler())).dial()
				defer conn.Close()
				start := time.Now()
				go io.WriteString(conn, tt.send) // the server may answer before it has read all
				answers := bufio.NewReader(conn)
				status := 0
				if resp, err := http.ReadResponse(answers, nil); err == nil {
					status = resp.StatusCode
					body := read(t, resp)
					if status == 408 && (!resp.Close || resp.Header.Get("Content-Type") != problemJSON || !strings.Contains(body, "in time")) {
						t.Errorf("%+v %s", resp, body)
					}
				}
				if rest, err := io.ReadAll(answers); len(rest) > 0 || err != nil {
					t.Errorf("then %q %v", rest, err)
				}
				// net/http lets half a second pass before it closes, so that a
				// client that is still sending sees the answer.
				if took := time.Since(start); status != tt.status || took < tt.after || took > tt.after+500*time.Millisecond {
					t.Errorf("status %d, closed after %v", status, took)
				}
			})
		})
	}
}

// A stream may idle for longer than every timeout, also before it begins, and
// the connection serves the next request all the same.
func TestStreamOutlivesEveryTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := bare(t, "-read-header-timeout=1s", "-read-timeout=1s", "-write-timeout=1s", "-request-timeout=1s", "-idle-timeout=20s")
		stream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			idle := func() {
				select {
				case <-time.After(time.Minute):
				case <-r.Context().Done():
					t.Error(r.Context().Err())
				}
			}
			for range 3 {
				idle()
				io.WriteString(w, "da")
				idle()
				io.WriteString(w, "ta\n")
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Error(err)
				}
				w.(http.Flusher).Flush()
			}
		})
		http1, http2 := new(http.Protocols), new(http.Protocols)
		http1.SetHTTP1(true)
		http2.SetUnencryptedHTTP2(true)
		for name, h := range map[string]http.Handler{"server": stream, "server and chain": s.chain(stream)} {
			for _, p := range []*http.Protocols{http1, http2} {
				srv := s.server(h)
				srv.Protocols = p
				l := bubble(t, srv)
				client := l.client(t, p)
				for range 2 {
					resp, err := client.Get("http://x/")
					if err != nil {
						t.Fatal(name, p, err)
					}
					if body, err := io.ReadAll(resp.Body); string(body) != "data\ndata\ndata\n" || err != nil {
						t.Errorf("%s, %v: %q %v", name, p, body, err)
					}
					resp.Body.Close()
					<-time.After(10 * time.Second) // past the last write's deadline
				}
				if n := l.dials.Load(); n != 1 {
					t.Errorf("%s, %v: %d connections", name, p, n)
				}
			}
		}
	})
}

// A client that stalls ends its stream after the write timeout.
func TestStalledReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := bare(t, "-write-timeout=1s")
		ended := make(chan time.Duration, 1)
		l := bubble(t, s.server(s.chain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					ended <- time.Since(start)
					return
				}
			}
		}))))
		resp, err := l.client(t, nil).Get("http://x/")
		if err != nil {
			t.Fatal(err)
		}
		select {
		case took := <-ended:
			if took != time.Second {
				t.Errorf("the handler ended after %v", took)
			}
		case <-time.After(time.Hour):
			t.Error("the handler writes for ever")
		}
		resp.Body.Close()
	})
}

// What net/http sends after the handler has a deadline, too.
func TestStalledReaderOfTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := bare(t, "-write-timeout=1s")
		srv := s.server(s.chain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "less than a buffer")
			<-time.After(time.Minute)
		})))
		start := time.Now()
		closed := make(chan time.Duration, 1)
		srv.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				closed <- time.Since(start)
			}
		}
		conn := bubble(t, srv).dial()
		defer conn.Close()
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n") // and never read
		select {
		case took := <-closed:
			if took < time.Minute+time.Second || took > time.Minute+2*time.Second {
				t.Errorf("closed after %v", took)
			}
		case <-time.After(time.Hour):
			t.Error("the connection stays for ever")
		}
	})
}

func TestPanicIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, out := bare(t)
		l := bubble(t, s.server(s.chain(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("hunter2") }))))
		resp, err := l.client(t, nil).Get("http://x/")
		if err != nil {
			t.Fatal(err)
		}
		if body := read(t, resp); resp.StatusCode != 500 || resp.Header.Get("Content-Type") != problemJSON || strings.Contains(body, "hunter2") {
			t.Errorf("%+v %s", resp, body)
		}
		if !strings.Contains(out.String(), "panic: hunter2") {
			t.Errorf("the log: %s", out)
		}
	})
}

// A connection that a browser opened in advance does not hold up the end, nor
// does one that never completes its request's header.
func TestSilentConnectionsDoNotHoldTheEnd(t *testing.T) {
	for _, send := range []string{"", "GET / HT"} {
		synctest.Test(t, func(t *testing.T) {
			s, _ := bare(t, "-drain-delay=0", "-read-header-timeout=1h")
			l := newPipeListener()
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- s.serve(ctx, l) }()
			conn := l.dial()
			defer conn.Close()
			go io.WriteString(conn, send)
			synctest.Wait()
			start := time.Now()
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			// Shutdown looks again after 1 ms and more.
			if took := time.Since(start); took > time.Second+50*time.Millisecond {
				t.Errorf("%q: it took %v", send, took)
			}
		})
	}
}
