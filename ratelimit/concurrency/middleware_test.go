package concurrency_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ballast-go/ballast/ratelimit/concurrency"
)

// A site is a real server with a limiter in front of a handler.
type site struct {
	*httptest.Server
	left chan struct{} // one for each request that the middleware is done with
}

// each runs f against HTTP/1.1 over TCP and HTTP/2 over TLS.
func each(t *testing.T, f func(t *testing.T, start func(*concurrency.Limiter, concurrency.MiddlewareConfig, http.HandlerFunc) *site)) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			f(t, func(l *concurrency.Limiter, cfg concurrency.MiddlewareConfig, h http.HandlerFunc) *site {
				s := &site{left: make(chan struct{}, 100)}
				limited := concurrency.Middleware(l, cfg)(h)
				s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer func() { s.left <- struct{}{} }()
					if r.Proto != proto {
						t.Errorf("spoke %s", r.Proto)
					}
					limited.ServeHTTP(w, r)
				}))
				s.Config.ErrorLog = log.New(io.Discard, "", 0)
				if proto == "HTTP/2.0" {
					s.EnableHTTP2 = true
					s.StartTLS()
				} else {
					s.Start()
				}
				t.Cleanup(s.Close)
				return s
			})
		})
	}
}

// get asks for path and reads the answer.
func (s *site) get(path string) (status int, body string, err error) {
	resp, err := s.Client().Get(s.URL + path)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func TestPermitIsReleasedOnEveryWayOut(t *testing.T) {
	each(t, func(t *testing.T, start func(*concurrency.Limiter, concurrency.MiddlewareConfig, http.HandlerFunc) *site) {
		for name, leave := range map[string]func(http.ResponseWriter, *http.Request){
			"return":               func(http.ResponseWriter, *http.Request) {},
			"panic":                func(http.ResponseWriter, *http.Request) { panic("a bug") },
			"http.ErrAbortHandler": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			"runtime.Goexit":       func(http.ResponseWriter, *http.Request) { runtime.Goexit() },
			"panic in a stream": func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte("begun"))
				_ = http.NewResponseController(w).Flush()
				panic("a bug")
			},
			"client leaves": func(w http.ResponseWriter, r *http.Request) {
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			},
		} {
			t.Run(name, func(t *testing.T) {
				l := newLimiter(t, concurrency.Config{Max: 1, Adaptive: &concurrency.Adaptive{}})
				s := start(l, concurrency.MiddlewareConfig{WriteTimeout: time.Minute}, func(w http.ResponseWriter, r *http.Request) {
					if in := l.Stats().InFlight; in != 1 {
						t.Errorf("%d permits are out during the request", in)
					}
					leave(w, r)
				})
				for range 3 {
					ctx, cancel := context.WithCancel(t.Context())
					r, _ := http.NewRequestWithContext(ctx, "POST", s.URL, strings.NewReader("{}"))
					resp, err := s.Client().Do(r)
					if name == "client leaves" {
						cancel()
					}
					if err == nil {
						_, _ = io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
					<-s.left
					cancel()
					wantIdle(t, l)
				}
			})
		}
	})
}

func TestRefusal(t *testing.T) {
	each(t, func(t *testing.T, start func(*concurrency.Limiter, concurrency.MiddlewareConfig, http.HandlerFunc) *site) {
		l := newLimiter(t, concurrency.Config{Max: 1})
		p := mustAcquire(t, l)
		s := start(l, concurrency.MiddlewareConfig{}, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("served")) })
		resp, err := s.Client().Post(s.URL, "text/plain", strings.NewReader("a body"))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 503 || resp.Header.Get("Content-Type") != "application/problem+json" ||
			resp.Header.Get("Retry-After") == "" || !strings.Contains(string(b), `"reason":"queue-full"`) {
			t.Errorf("%d %v %s", resp.StatusCode, resp.Header, b)
		}
		p.Release()
		if status, body, err := s.get("/"); status != 200 || body != "served" || err != nil {
			t.Errorf("%d %q %v", status, body, err)
		}
	})
}

// A reader that stalls keeps its permit for WriteTimeout and no longer.
func TestStalledReader(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, start func(*concurrency.Limiter, concurrency.MiddlewareConfig, http.HandlerFunc) *site) {
		t.Parallel()
		for name, write := range map[string]func(http.ResponseWriter, []byte) error{
			"Write": func(w http.ResponseWriter, p []byte) error {
				_, err := w.Write(p)
				return err
			},
			"Write and Flush": func(w http.ResponseWriter, p []byte) error {
				_, err := w.Write(p[:1000])
				return errors.Join(err, http.NewResponseController(w).Flush())
			},
			"WriteString": func(w http.ResponseWriter, p []byte) error {
				_, err := io.WriteString(w, large)
				return err
			},
			"Copy": func(w http.ResponseWriter, p []byte) error {
				_, err := io.Copy(w, io.LimitReader(zeros{}, 1<<30))
				return err
			},
			"one large Write": func(w http.ResponseWriter, p []byte) error {
				_, err := w.Write(make([]byte, 64<<20))
				return err
			},
		} {
			t.Run(name, func(t *testing.T) {
				l := newLimiter(t, concurrency.Config{Max: 1})
				ended := make(chan error, 1)
				s := start(l, concurrency.MiddlewareConfig{WriteTimeout: 200 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
					var err error
					for p := make([]byte, 100_000); err == nil; {
						err = write(w, p)
					}
					<-r.Context().Done() // handlers that look at nothing else learn of it, too
					ended <- err
				})
				if resp, err := s.Client().Get(s.URL); err == nil { // a busy machine may be late for the header
					defer resp.Body.Close() // and read nothing
				}
				<-s.left
				if err := <-ended; err == nil {
					t.Error("no error")
				}
				wantIdle(t, l)
			})
		}
	})
}

// Over HTTP/2 a client may open all windows and then read nothing, so that what
// is stuck is the connection. Its permit comes back with the timeout for that.
func TestStalledConnection(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, concurrency.Config{Max: 1})
	h := concurrency.Middleware(l, concurrency.MiddlewareConfig{WriteTimeout: 200 * time.Millisecond})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write(make([]byte, 256<<20))
		if err == nil {
			t.Error("no error")
		}
	}))
	left := make(chan struct{})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(left)
		h.ServeHTTP(w, r)
	}))
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Config.HTTP2 = &http.HTTP2Config{WriteByteTimeout: 200 * time.Millisecond}
	srv.Start()
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+
		"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x7f\xff\xff\xff"+ // SETTINGS_INITIAL_WINDOW_SIZE
		"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x40\x00\x00\x00"+ // WINDOW_UPDATE of the connection
		"\x00\x00\x06\x01\x05\x00\x00\x00\x01\x82\x86\x84\x41\x01x") // HEADERS: GET http://x/
	if err != nil {
		t.Fatal(err)
	}
	<-left
	wantIdle(t, l)
}

var large = strings.Repeat("x", 100_000)

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// What is slow is the service here, and the reader is there: WriteTimeout is
// not for that. A reader that takes a large answer slowly does not stall.
func TestWriteTimeoutIsForWrites(t *testing.T) {
	t.Parallel()
	const timeout = 150 * time.Millisecond
	each(t, func(t *testing.T, start func(*concurrency.Limiter, concurrency.MiddlewareConfig, http.HandlerFunc) *site) {
		t.Parallel()
		l := newLimiter(t, concurrency.Config{Max: 1})
		s := start(l, concurrency.MiddlewareConfig{WriteTimeout: timeout}, func(w http.ResponseWriter, r *http.Request) {
			for range 2 {
				_, _ = io.WriteString(w, "token ")
				if r.URL.Path == "/flushed" {
					_ = http.NewResponseController(w).Flush()
				}
				<-time.After(2 * timeout)
			}
			_, _ = io.WriteString(w, "end")
		})
		for range 2 { // the second on the same connection
			for _, path := range []string{"/", "/flushed"} {
				if status, body, err := s.get(path); status != 200 || body != "token token end" || err != nil {
					t.Errorf("%s: %d %q %v", path, status, body, err)
				}
			}
		}
		slow := start(l, concurrency.MiddlewareConfig{WriteTimeout: 5 * timeout}, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(make([]byte, 30<<20))
		})
		resp, err := slow.Client().Get(slow.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		n := int64(0)
		for began := time.Now(); ; { // takes longer than one write may
			m, err := io.CopyN(io.Discard, resp.Body, 1<<20)
			n += m
			if err == io.EOF {
				if time.Since(began) < 6*timeout {
					t.Error("the reader was not slow")
				}
				break
			} else if err != nil {
				t.Fatalf("after %d bytes in %v: %v", n, time.Since(began), err)
			}
			<-time.After(timeout / 3)
		}
		if n != 30<<20 {
			t.Errorf("%d bytes", n)
		}
	})
}

// deadlines counts those that are set.
type deadlines struct {
	http.ResponseWriter
	set atomic.Int64
}

func (d *deadlines) SetWriteDeadline(time.Time) error {
	d.set.Add(1)
	return nil
}

// Inside an http.TimeoutHandler a handler may outlive its request. The
// connection serves another one then, whose writes are not its business; the
// permit is its own.
func TestWriteTimeoutOfHandlerThatOutlivesItsRequest(t *testing.T) {
	l, outer := newLimiter(t, concurrency.Config{Max: 1}), newLimiter(t, concurrency.Config{Max: 1})
	goOn, left := make(chan struct{}), make(chan struct{})
	limited := concurrency.Middleware(l, concurrency.MiddlewareConfig{WriteTimeout: time.Minute})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		<-goOn
	}))
	h := concurrency.Middleware(outer, concurrency.MiddlewareConfig{})(http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(left)
		limited.ServeHTTP(w, r)
	}), time.Millisecond, "late"))
	rec := httptest.NewRecorder()
	w := &deadlines{ResponseWriter: rec}
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if rec.Code != 503 || l.Stats().InFlight != 1 {
		t.Errorf("%d, with %d permits out", rec.Code, l.Stats().InFlight)
	}
	before := w.set.Load()
	close(goOn)
	<-left
	if n := w.set.Load() - before; n > 0 {
		t.Errorf("%d deadlines set after the request", n)
	}
	wantIdle(t, l)
}

func TestHijackedConnectionHoldsThePermit(t *testing.T) {
	l := newLimiter(t, concurrency.Config{Max: 1})
	hijacked, goOn := make(chan struct{}), make(chan struct{})
	left := make(chan struct{})
	limited := concurrency.Middleware(l, concurrency.MiddlewareConfig{WriteTimeout: time.Minute})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = rw.Flush()
		close(hijacked)
		<-goOn
		_, _ = io.WriteString(conn, "bye\n")
	}))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(left)
		limited.ServeHTTP(w, r)
	}))
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	<-hijacked
	if s := l.Stats(); s.InFlight != 1 {
		t.Errorf("%d permits", s.InFlight)
	}
	close(goOn)
	<-left
	wantIdle(t, l)
	if b, err := io.ReadAll(bufio.NewReader(conn)); err != nil || !strings.HasSuffix(string(b), "bye\n") {
		t.Errorf("%q, %v", b, err)
	}
}

func TestHeaderIsForTrustedPeers(t *testing.T) {
	trusted := concurrency.FromPrefixes(netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32"))
	for _, tt := range []struct {
		name, peer, header string
		trusted            func(*http.Request) bool
		has, want          concurrency.Criticality
	}{
		{"no header", "10.1.2.3:5", "", trusted, critical, critical},
		{"trusted raises", "10.1.2.3:5", "critical-plus", trusted, critical, plus},
		{"trusted over IPv6", "[2001:db8::7]:5", "critical-plus", trusted, critical, plus},
		{"trusted, as IPv6", "[::ffff:10.1.2.3]:5", "critical-plus", trusted, critical, plus},
		{"trusted lowers", "10.1.2.3:5", "sheddable", trusted, critical, shed},
		{"a stranger does not raise", "11.1.2.3:5", "critical-plus", trusted, critical, critical},
		{"nobody is trusted by default", "10.1.2.3:5", "critical-plus", nil, critical, critical},
		{"a stranger lowers", "11.1.2.3:5", "sheddable-plus", trusted, critical, shedPlus},
		{"a stranger does not raise what auth has lowered", "11.1.2.3:5", "critical", trusted, shed, shed},
		{"trusted raises that", "10.1.2.3:5", "critical", trusted, shed, critical},
		{"nonsense", "10.1.2.3:5", "CRITICAL-PLUS", trusted, critical, critical},
		{"a unix socket", "@", "critical-plus", trusted, critical, critical},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got concurrency.Criticality
			l := newLimiter(t, concurrency.Config{Max: 1})
			h := concurrency.Middleware(l, concurrency.MiddlewareConfig{Trusted: tt.trusted})(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				got = concurrency.CriticalityFromContext(r.Context())
			}))
			r := httptest.NewRequestWithContext(as(tt.has), "GET", "/", nil)
			r.RemoteAddr = tt.peer
			if tt.header != "" {
				r.Header.Set("Criticality", tt.header)
			}
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			if got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

// The class of the header is the one that decides.
func TestHeaderDecides(t *testing.T) {
	l := newLimiter(t, concurrency.Config{Max: 2})
	mustAcquire(t, l)
	h := concurrency.Middleware(l, concurrency.MiddlewareConfig{Header: "X-Class"})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {}))
	for class, want := range map[string]int{"sheddable": 503, "critical": 200, "": 200} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("X-Class", class)
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if rec.Code != want {
			t.Errorf("%q: %d, want %d", class, rec.Code, want)
		}
	}
}

func TestBodyCountsAgainstTheBudget(t *testing.T) {
	each(t, func(t *testing.T, start func(*concurrency.Limiter, concurrency.MiddlewareConfig, http.HandlerFunc) *site) {
		l := newLimiter(t, concurrency.Config{Max: 10, MaxBytes: 1000})
		var held int64
		var read int
		var readErr error
		s := start(l, concurrency.MiddlewareConfig{MaxBodyBytes: 400}, func(w http.ResponseWriter, r *http.Request) {
			held = l.Stats().BytesInFlight
			var b []byte
			b, readErr = io.ReadAll(r.Body)
			read = len(b)
		})
		for _, tt := range []struct {
			name     string
			body     io.Reader
			status   int
			held     int64
			read     int
			overflow bool
		}{
			{"none", nil, 200, 0, 0, false},
			{"declared", strings.NewReader(strings.Repeat("x", 300)), 200, 300, 300, false},
			{"declared, the most", strings.NewReader(strings.Repeat("x", 400)), 200, 400, 400, false},
			{"declared, too large", strings.NewReader(strings.Repeat("x", 401)), 413, 0, 0, false},
			{"undeclared", io.LimitReader(zeros{}, 400), 200, 400, 400, false},
			{"undeclared, too large", io.LimitReader(zeros{}, 401), 200, 400, 400, true},
		} {
			held, read, readErr = 0, 0, nil
			resp, err := s.Client().Post(s.URL, "text/plain", tt.body)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			<-s.left
			_, overflow := errors.AsType[*http.MaxBytesError](readErr)
			if resp.StatusCode != tt.status || held != tt.held || read != tt.read || overflow != tt.overflow {
				t.Errorf("%s: %d, %d bytes held, %d read, %v", tt.name, resp.StatusCode, held, read, readErr)
			}
			wantIdle(t, l)
		}
	})
}

// What the mux and the handler leave in the request is found outside, although
// the middleware gives them a copy.
func TestRequestOutside(t *testing.T) {
	l := newLimiter(t, concurrency.Config{Max: 1, MaxBytes: 1000})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /a/{b}", func(_ http.ResponseWriter, r *http.Request) { _ = r.ParseMultipartForm(10) })
	r := httptest.NewRequest("POST", "/a/1", io.MultiReader(strings.NewReader(
		"--x\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nv\r\n--x--\r\n")))
	r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	r.Header.Set("Criticality", "sheddable")
	concurrency.Middleware(l, concurrency.MiddlewareConfig{})(mux).ServeHTTP(httptest.NewRecorder(), r)
	if r.Pattern != "POST /a/{b}" || r.MultipartForm == nil {
		t.Errorf("pattern %q, form %v", r.Pattern, r.MultipartForm)
	}
}
