package reqstate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// plain has every optional interface, and all of them work.
type plain struct{ *httptest.ResponseRecorder }

func (p *plain) ReadFrom(src io.Reader) (int64, error) { return io.Copy(p.Body, src) }
func (p *plain) Push(string, *http.PushOptions) error  { return nil }
func (p *plain) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, nil
}

type (
	onlyF struct{ http.Flusher }
	onlyH struct{ http.Hijacker }
	onlyR struct{ io.ReaderFrom }
	onlyP struct{ http.Pusher }
)

// Each of the sixteen sets is kept as it is, and nothing is added.
func TestInterfacesAreKeptAndNeverFaked(t *testing.T) {
	p := &plain{httptest.NewRecorder()}
	f, h, r, u := onlyF{p}, onlyH{p}, onlyR{p}, onlyP{p}
	b := foreign{p}
	writers := []http.ResponseWriter{
		b,
		struct {
			foreign
			onlyF
		}{b, f},
		struct {
			foreign
			onlyH
		}{b, h},
		struct {
			foreign
			onlyF
			onlyH
		}{b, f, h},
		struct {
			foreign
			onlyR
		}{b, r},
		struct {
			foreign
			onlyF
			onlyR
		}{b, f, r},
		struct {
			foreign
			onlyH
			onlyR
		}{b, h, r},
		struct {
			foreign
			onlyF
			onlyH
			onlyR
		}{b, f, h, r},
		struct {
			foreign
			onlyP
		}{b, u},
		struct {
			foreign
			onlyF
			onlyP
		}{b, f, u},
		struct {
			foreign
			onlyH
			onlyP
		}{b, h, u},
		struct {
			foreign
			onlyF
			onlyH
			onlyP
		}{b, f, h, u},
		struct {
			foreign
			onlyR
			onlyP
		}{b, r, u},
		struct {
			foreign
			onlyF
			onlyR
			onlyP
		}{b, f, r, u},
		struct {
			foreign
			onlyH
			onlyR
			onlyP
		}{b, h, r, u},
		struct {
			foreign
			onlyF
			onlyH
			onlyR
			onlyP
		}{b, f, h, r, u},
	}
	interfaces := func(w http.ResponseWriter) (set int) {
		if _, ok := w.(http.Flusher); ok {
			set |= 1
		}
		if _, ok := w.(http.Hijacker); ok {
			set |= 2
		}
		if _, ok := w.(io.ReaderFrom); ok {
			set |= 4
		}
		if _, ok := w.(http.Pusher); ok {
			set |= 8
		}
		return set
	}
	for i, w := range writers {
		if interfaces(w) != i {
			t.Fatalf("the test's writer %d has %b", i, interfaces(w))
		}
		s := newState(w, httptest.NewRequest("GET", "/", nil))
		got := s.writer()
		if interfaces(got) != i {
			t.Errorf("%T: wrapped %04b as %04b", got, i, interfaces(got))
		}
		if x, ok := got.(http.Flusher); ok {
			x.Flush()
			if s.Record().Sent != 200 {
				t.Errorf("%T: Flush was not accounted", got)
			}
		}
		if x, ok := got.(io.ReaderFrom); ok {
			if n, err := x.ReadFrom(strings.NewReader("four")); n != 4 || err != nil || s.Record().Bytes != 4 {
				t.Errorf("%T: ReadFrom: %d %v, recorded %d", got, n, err, s.Record().Bytes)
			}
		}
		if x, ok := got.(http.Pusher); ok {
			if err := x.Push("/x", nil); err != nil {
				t.Errorf("%T: Push: %v", got, err)
			}
		}
		if x, ok := got.(http.Hijacker); ok {
			if _, _, err := x.Hijack(); err != nil || !s.hijacked {
				t.Errorf("%T: Hijack: %v", got, err)
			}
		}
	}
}

func TestInterfacesOverRealServers(t *testing.T) {
	each(t, func(t *testing.T, start func(http.Handler) *site) {
		type set struct{ flush, hijack, readFrom, push bool }
		look := func(w http.ResponseWriter) (s set) {
			_, s.flush = w.(http.Flusher)
			_, s.hijack = w.(http.Hijacker)
			_, s.readFrom = w.(io.ReaderFrom)
			_, s.push = w.(http.Pusher)
			return s
		}
		var bare, wrapped set
		s := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			bare = look(w)
			observedFunc(newRecorder(), func(w http.ResponseWriter, _ *http.Request) { wrapped = look(w) }).ServeHTTP(w, r)
		}))
		s.mustGet(t, "/")
		want := set{flush: true, hijack: true, readFrom: true}
		if s.http2 {
			want = set{flush: true, push: true}
		}
		if bare != want || wrapped != want {
			t.Errorf("server %+v, wrapped %+v, want %+v", bare, wrapped, want)
		}
	})
}

// A watchful connection notes what the server hands to its ReadFrom, which is
// where net's sendfile begins.
type watchful struct {
	net.Listener
	files atomic.Int32
}

type watchfulConn struct {
	*net.TCPConn
	l *watchful
}

func (l *watchful) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return watchfulConn{c.(*net.TCPConn), l}, nil
}

func (c watchfulConn) ReadFrom(src io.Reader) (int64, error) {
	inner := src
	if l, ok := src.(*io.LimitedReader); ok {
		inner = l.R
	}
	if _, ok := inner.(syscall.Conn); ok {
		c.l.files.Add(1)
	}
	return c.TCPConn.ReadFrom(src)
}

func TestSendfile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "weights.bin")
	if err := os.WriteFile(name, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	o := newRecorder()
	h := observedFunc(o, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/serve" {
			http.ServeFile(w, r, name)
			return
		}
		f, err := os.Open(name)
		if err != nil {
			panic(err)
		}
		defer f.Close()
		w.Header().Set("Content-Length", fmt.Sprint(1<<20))
		io.Copy(w, f)
	})
	srv := httptest.NewUnstartedServer(h)
	l := &watchful{Listener: srv.Listener}
	srv.Listener = l
	srv.Start()
	defer srv.Close()
	for i, path := range []string{"/serve", "/copy"} {
		resp, err := srv.Client().Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if n != 1<<20 || err != nil {
			t.Fatalf("%s: %d bytes, %v", path, n, err)
		}
		rec := one(t, o)
		want(t, rec, 200, 200, Complete, 1<<20)
		if rec.Stream.Chunks != 1 || rec.Stream.TimeToFirstByte <= 0 {
			t.Errorf("%s: %+v", path, rec.Stream)
		}
		if got := l.files.Load(); got != int32(i+1) {
			t.Errorf("%s: the connection got %d files, want %d", path, got, i+1)
		}
	}
}

// onlyReader hides a source's other methods, as a proxied body has none.
type onlyReader struct{ io.Reader }

// io.Copy goes by ReadFrom on HTTP/1.1; the stream keeps its facts and its
// error event is seen.
func TestCopiedStream(t *testing.T) {
	each(t, func(t *testing.T, start func(http.Handler) *site) {
		o := newRecorder()
		s := start(observedFunc(o, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			body := strings.Repeat("data: token\n\n", 5000)
			if r.URL.Path == "/error" {
				body += "event: error\ndata: {}\n\n"
			}
			if n, err := io.Copy(w, onlyReader{strings.NewReader(body)}); n != int64(len(body)) || err != nil {
				panic(fmt.Sprint(n, err))
			}
		}))
		_, body := s.mustGet(t, "/")
		rec := one(t, o)
		want(t, rec, 200, 200, Complete, int64(len(body)))
		if len(body) != 65000 || rec.Stream.Chunks < 2 {
			t.Errorf("%d bytes in %+v", len(body), rec.Stream)
		}
		s.mustGet(t, "/error")
		want(t, one(t, o), 500, 200, ErrorEvent, 65023)
	})
}

type brokenReader struct{ left int }

func (b *brokenReader) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errors.New("upstream broke")
	}
	n := min(b.left, len(p))
	b.left -= n
	return n, nil
}

func TestCopyFromABrokenSource(t *testing.T) {
	o := newRecorder()
	s := startSite(t, observedFunc(o, func(w http.ResponseWriter, _ *http.Request) {
		if _, err := io.Copy(w, &brokenReader{100_000}); err != nil {
			panic(http.ErrAbortHandler)
		}
	}), false)
	if _, _, err := s.get(t, "/"); err == nil {
		t.Error("the client took a cut answer for whole")
	}
	want(t, one(t, o), 500, 200, UpstreamCut, 100_000)
}

func TestHijack(t *testing.T) {
	tests := map[string]func(http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error){
		"interface": func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) { return w.(http.Hijacker).Hijack() },
		"controller": func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
			return http.NewResponseController(w).Hijack()
		},
	}
	for name, hijack := range tests {
		t.Run(name, func(t *testing.T) {
			o := newRecorder()
			s := startSite(t, observedFunc(o, func(w http.ResponseWriter, _ *http.Request) {
				conn, rw, err := hijack(w)
				if err != nil {
					panic(err)
				}
				defer conn.Close()
				rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello")
				rw.Flush()
				if _, err := w.Write([]byte("x")); !errors.Is(err, http.ErrHijacked) {
					panic(fmt.Sprint("write after hijack: ", err))
				}
			}), false)
			conn, in := s.dial(t)
			fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			resp, err := http.ReadResponse(in, nil)
			if err != nil || resp.StatusCode != 101 {
				t.Fatalf("%v %v", resp, err)
			}
			hello := make([]byte, 5)
			if _, err := io.ReadFull(in, hello); err != nil || string(hello) != "hello" {
				t.Errorf("%q %v", hello, err)
			}
			want(t, one(t, o), 101, 101, Hijacked, 0)
		})
	}
}

// A foreign writer that hides Hijacker but has Unwrap must not let a hijack
// pass unseen.
func TestHijackThroughUnwrap(t *testing.T) {
	o := newRecorder()
	h := observedFunc(o, func(w http.ResponseWriter, _ *http.Request) {
		if _, _, err := http.NewResponseController(w).Hijack(); err != nil {
			t.Error(err)
		}
	})
	h.ServeHTTP(unwrapper{foreign{&plain{httptest.NewRecorder()}}}, httptest.NewRequest("GET", "/", nil))
	want(t, one(t, o), 101, 101, Hijacked, 0)
}

type unwrapper struct{ foreign }

func (u unwrapper) Unwrap() http.ResponseWriter { return u.w }

// Nor a flush: the 200 that it sends would be answered again by Guard.
func TestFlushThroughUnwrap(t *testing.T) {
	o := newRecorder()
	rec := httptest.NewRecorder()
	h := observedFunc(o, func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		if s := FromContext(r.Context()); s.Record().Sent != 200 {
			t.Error("the flush went past the state")
		}
	})
	h.ServeHTTP(unwrapper{foreign{rec}}, httptest.NewRequest("GET", "/", nil))
	if !rec.Flushed {
		t.Error("the flush did not arrive")
	}
	observedFunc(o, func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("a writer that cannot flush: %v", err)
		}
		if s := FromContext(r.Context()); s.Record().Sent != 0 {
			t.Error("nothing was sent")
		}
	}).ServeHTTP(foreign{rec}, httptest.NewRequest("GET", "/", nil))
}

func TestDeadlines(t *testing.T) {
	each(t, func(t *testing.T, start func(http.Handler) *site) {
		o := newRecorder()
		s := start(observedFunc(o, func(w http.ResponseWriter, r *http.Request) {
			c := http.NewResponseController(w)
			if err := errors.Join(c.SetReadDeadline(time.Now().Add(time.Hour)), c.SetWriteDeadline(time.Now().Add(time.Hour)), c.EnableFullDuplex()); err != nil && !s2(r) {
				t.Error(err)
			}
			io.WriteString(w, "in time")
			if err := c.Flush(); err != nil {
				t.Error(err)
			}
			if err := c.SetWriteDeadline(time.Now().Add(-time.Second)); err != nil {
				t.Error(err)
				return
			}
			for r.Context().Err() == nil { // a write fails once the deadline is seen
				if _, err := w.Write(make([]byte, 1<<16)); err == nil {
					c.Flush()
				}
			}
		}))
		if _, body, err := s.get(t, "/"); err == nil {
			t.Errorf("the client took %d bytes for whole", len(body))
		}
		if rec := one(t, o); rec.Outcome != ClientGone {
			t.Errorf("recorded %v", rec.Outcome)
		}
	})
}

// s2 reports whether r came by HTTP/2, which knows no full duplex to enable.
func s2(r *http.Request) bool { return r.ProtoMajor == 2 }

func TestTrailers(t *testing.T) {
	each(t, func(t *testing.T, start func(http.Handler) *site) {
		o := newRecorder()
		s := start(observedFunc(o, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-Declared")
			io.WriteString(w, "body")
			w.(http.Flusher).Flush()
			w.Header().Set("X-Declared", "1")
			w.Header().Set(http.TrailerPrefix+"X-Late", "2")
		}))
		resp, _ := s.mustGet(t, "/")
		if resp.Trailer.Get("X-Declared") != "1" || resp.Trailer.Get("X-Late") != "2" {
			t.Errorf("trailers %v", resp.Trailer)
		}
		want(t, one(t, o), 200, 200, Complete, 4)
	})
}

// Writers in other goroutines while the handler ends: no race, and nothing is
// accounted after the seal.
func TestConcurrentWriters(t *testing.T) {
	o := newRecorder()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	var written atomic.Int64
	h := observedFunc(o, func(w http.ResponseWriter, r *http.Request) {
		started := make(chan struct{})
		go func() {
			defer close(done)
			for i := 0; ctx.Err() == nil; i++ {
				if n, err := w.Write([]byte("data\n")); err != nil {
					if !errors.Is(err, ErrSealed) {
						t.Error(err)
					}
					return
				} else {
					written.Add(int64(n))
				}
				w.(http.Flusher).Flush()
				FromContext(r.Context()).SetSubject("who")
				if i == 10 {
					close(started)
				}
			}
		}()
		<-started
	})
	h.ServeHTTP(&lockedDiscard{}, httptest.NewRequest("GET", "/", nil))
	<-done
	if rec := one(t, o); rec.Bytes < 50 || rec.Bytes > written.Load() || rec.Status != 200 {
		t.Errorf("%d bytes of %d, status %d", rec.Bytes, written.Load(), rec.Status)
	}
}

type lockedDiscard struct{}

func (d *lockedDiscard) Header() http.Header         { return nil }
func (d *lockedDiscard) Write(p []byte) (int, error) { return len(p), nil }
func (d *lockedDiscard) WriteHeader(int)             {}
func (d *lockedDiscard) Flush()                      {}
