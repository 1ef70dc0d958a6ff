package reqstate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/internal/problem"
)

// The cases in which what was sent and what is recorded part.

// A TimeoutHandler's 503 is what was sent, whatever the handler wrote into its
// buffer before or after.
func TestTimeoutHandlerAroundSends503(t *testing.T) {
	o := newRecorder()
	answered := make(chan struct{})
	s := startSite(t, http.TimeoutHandler(observedFunc(o, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "part")
		<-answered
		io.WriteString(w, "late")
	}), time.Millisecond, "too slow"), false)
	if resp, body := s.mustGet(t, "/"); resp.StatusCode != 503 || body != "too slow" {
		t.Errorf("the client got %d %q", resp.StatusCode, body)
	}
	close(answered)
	want(t, one(t, o), 503, 503, TimedOut, 0)
}

// A deadline of another middleware, which answers by itself, is left alone:
// nothing is written in its stead.
func TestForeignTimeoutAnswers(t *testing.T) {
	o := newRecorder()
	h := observedFunc(o, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s := startSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Millisecond)
		defer cancel()
		h.ServeHTTP(foreign{w}, r.WithContext(ctx))
		if ctx.Err() == context.DeadlineExceeded {
			w.WriteHeader(http.StatusGatewayTimeout)
		}
	}), false)
	if resp, body := s.mustGet(t, "/"); resp.StatusCode != 504 || body != "" {
		t.Errorf("the client got %d %q", resp.StatusCode, body)
	}
	one(t, o)
}

// Nor does a panic become an answer when a TimeoutHandler's time has passed.
func TestPanicUnderAnExpiredDeadline(t *testing.T) {
	o := newRecorder()
	rec := httptest.NewRecorder()
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	func() {
		defer func() { _ = recover() }()
		observedFunc(o, panics).ServeHTTP(foreign{rec}, httptest.NewRequest("GET", "/", nil).WithContext(ctx))
	}()
	want(t, one(t, o), 500, 0, Panicked, 0)
	if rec.Body.Len() != 0 || rec.Result().StatusCode != 200 || rec.Flushed {
		t.Error("something was sent")
	}
}

// leaver reads n bytes of an answer to path and closes the connection.
func (s *site) leaver(t *testing.T, path string, n int64) {
	t.Helper()
	conn, in := s.dial(t)
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, resp.Body, n); err != nil {
		t.Fatal(err)
	}
	conn.(*net.TCPConn).SetLinger(0) // unread bytes would do the same
	conn.Close()
}

// A client that leaves a download is gone, whichever way its bytes were taking.
func TestClientLeavesADownload(t *testing.T) {
	const size = 64 << 20
	name := filepath.Join(t.TempDir(), "large")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	f.Close()
	o := newRecorder()
	s := startSite(t, observedFunc(o, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/sendfile":
			http.ServeFile(w, r, name)
		case "/copy":
			w.Header().Set("Content-Length", fmt.Sprint(size))
			io.Copy(w, onlyReader{io.LimitReader(zeros{}, size)})
		case "/write":
			w.Header().Set("Content-Length", fmt.Sprint(size))
			for range size >> 20 {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		case "/abort": // as httputil.ReverseProxy does
			if _, err := io.Copy(w, onlyReader{io.LimitReader(zeros{}, size)}); err != nil {
				panic(http.ErrAbortHandler)
			}
		}
	}), false)
	for range 5 {
		for _, path := range []string{"/sendfile", "/copy", "/write", "/abort"} {
			s.leaver(t, path, 1000)
			if rec := one(t, o); rec.Status != StatusClientGone || rec.Outcome != ClientGone {
				t.Errorf("%s: %d %v", path, rec.Status, rec.Outcome)
			}
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// All of a file is on the wire before its handler returns; all of a buffered
// answer is not, however complete it looks.
func TestWhatIsDelivered(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, make([]byte, 10_000), 0o600); err != nil {
		t.Fatal(err)
	}
	write := func(n int, flush bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(n))
			w.Write(make([]byte, n))
			if flush {
				w.(http.Flusher).Flush()
			}
		}
	}
	flushThenWrite := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "50")
		w.(http.Flusher).Flush()
		w.Write(make([]byte, 50))
	}
	status := func(code int, flush bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(code)
			if flush {
				w.(http.Flusher).Flush()
			}
		}
	}
	for _, tt := range []struct {
		name    string
		method  string
		handler http.HandlerFunc
		status  int
	}{
		{"file", "GET", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, name) }, 200},
		{"flushed", "GET", write(5000, true), 200},
		{"not flushed", "GET", write(5000, false), 499},
		{"header flushed, body not", "GET", flushThenWrite, 499},
		{"small, not flushed", "GET", write(50, false), 499},
		{"no content, flushed", "GET", status(204, true), 204},
		{"no content, not flushed", "GET", status(204, false), 499},
		{"head, flushed", "HEAD", write(50, true), 200},
		{"head, buffer full", "HEAD", write(5000, false), 200},
		{"head, not flushed", "HEAD", write(50, false), 499},
		{"chunked, flushed", "GET", status(200, true), 499},
	} {
		o := newRecorder()
		ctx, leave := context.WithCancel(t.Context())
		h := observedFunc(o, func(w http.ResponseWriter, r *http.Request) {
			tt.handler(w, r)
			leave()
		})
		s := startSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(w, r.WithContext(ctx))
		}), false)
		req, _ := http.NewRequest(tt.method, s.URL, nil)
		resp, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if rec := one(t, o); rec.Status != tt.status {
			t.Errorf("%s: %d %v, want %d", tt.name, rec.Status, rec.Outcome, tt.status)
		}
	}
}

// 304 and HEAD may declare a length that they do not send.
func TestDeclaredLengthWithoutABody(t *testing.T) {
	o := newRecorder()
	s := startSite(t, observedFunc(o, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(http.StatusNotModified)
	}), false)
	s.mustGet(t, "/")
	want(t, one(t, o), 304, 304, Complete, 0)
}

func TestFileFacts(t *testing.T) {
	dir := t.TempDir()
	for name, size := range map[string]int{"small": 100, "large": 100_000} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	each(t, func(t *testing.T, start func(http.Handler) *site) {
		o := newRecorder()
		s := start(observedFunc(o, func(w http.ResponseWriter, r *http.Request) {
			f, err := os.Open(filepath.Join(dir, r.URL.Path))
			if err != nil {
				panic(err)
			}
			defer f.Close()
			info, _ := f.Stat()
			w.Header().Set("Content-Length", fmt.Sprint(info.Size()))
			io.Copy(w, f)
		}))
		s.mustGet(t, "/small")
		rec := one(t, o)
		want(t, rec, 200, 200, Complete, 100)
		if rec.Stream != (Stream{}) {
			t.Errorf("an answer that fits the buffer has chunks: %+v", rec.Stream)
		}
		resp, err := s.client.Head(s.URL + "/large")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		rec = one(t, o)
		want(t, rec, 200, 200, Complete, 0)
		if rec.Stream != (Stream{}) {
			t.Errorf("HEAD has chunks: %+v", rec.Stream)
		}
	})
}

// A stream that comes from a descriptor, say a subprocess's output, has its
// facts and its error event on HTTP/1.1 too.
func TestStreamFromADescriptor(t *testing.T) {
	each(t, func(t *testing.T, start func(http.Handler) *site) {
		o := newRecorder()
		s := start(observedFunc(o, func(w http.ResponseWriter, r *http.Request) {
			out, in, err := os.Pipe()
			if err != nil {
				panic(err)
			}
			defer out.Close()
			go func() {
				defer in.Close()
				for range 3 {
					in.Write(bytes.Repeat([]byte("data: token\n\n"), 5000))
				}
				io.WriteString(in, "event: error\ndata: {}\n\n")
			}()
			w.Header().Set("Content-Type", "Text/Event-Stream")
			w.Header().Set("Content-Length", "195023")
			io.Copy(w, out)
		}))
		s.mustGet(t, "/")
		rec := one(t, o)
		want(t, rec, 500, 200, ErrorEvent, 195023)
		if rec.Stream.Chunks < 2 {
			t.Errorf("%+v", rec.Stream)
		}
	})
}

// An error event inside an answer that is an error already adds nothing.
func TestErrorEventInAnError(t *testing.T) {
	o := newRecorder()
	observedFunc(o, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(429)
		io.WriteString(w, "event: error\ndata: slow down\n\n")
	}).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	want(t, one(t, o), 429, 429, Complete, 30)
}

// The time to first byte of one large write is when it begins.
func TestTimeToFirstByteOfALargeWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newRecorder()
		observedFunc(o, func(w http.ResponseWriter, _ *http.Request) {
			<-time.After(time.Second)
			w.Write(make([]byte, 1<<20))
			io.WriteString(w, strings.Repeat("x", 1<<20))
		}).ServeHTTP(&slow{discard{h: http.Header{}}}, httptest.NewRequest("GET", "/", nil))
		if got := one(t, o).Stream; got != (Stream{2, time.Second, time.Minute}) {
			t.Errorf("%+v", got)
		}
	})
}

// slow has a client that takes a minute a write.
type slow struct{ discard }

func (s *slow) Write(p []byte) (int, error) {
	<-time.After(time.Minute)
	return len(p), nil
}

// A panic that a foreign recoverer between two of ours swallows is a panic.
func TestForeignRecoverer(t *testing.T) {
	recoverer := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				if v := recover(); v != nil {
					w.WriteHeader(500)
				}
			}()
			next.ServeHTTP(w, r)
		})
	}
	each(t, func(t *testing.T, start func(http.Handler) *site) {
		outer, inner := newRecorder(), newRecorder()
		mux := http.NewServeMux()
		mux.HandleFunc("/early", panics)
		mux.HandleFunc("/late", panicsLate)
		s := start(observed(outer, copiesRequest(recoverer(observed(inner, mux)))))
		for path, sent := range map[string]int{"/early": 500, "/late": 200} {
			s.get(t, path)
			for _, o := range []*recorder{outer, inner} {
				rec := one(t, o)
				if rec.Status != 500 || rec.Sent != sent || rec.Outcome != Panicked || rec.Panic != errBoom || rec.Route != path {
					t.Errorf("%s: %+v", path, rec)
				}
			}
		}
	})
}

// What a foreign middleware between two of ours does to the writer, the
// request or even the context changes nothing of the record.
func TestForeignMiddlewareChangesNothing(t *testing.T) {
	drops := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(context.WithoutCancel(context.Background())))
		})
	}
	unwraps := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(struct {
				unwrapper
				http.Flusher
			}{unwrapper{foreign{w}}, w.(http.Flusher)}, r)
		})
	}
	for name, between := range map[string]func(http.Handler) http.Handler{
		"nothing": func(h http.Handler) http.Handler { return h },
		"copy":    copiesRequest, "wrapped": keepsFlush,
		"wrapped and copied":   func(h http.Handler) http.Handler { return keepsFlush(copiesRequest(h)) },
		"context replaced":     drops,
		"wrapped and replaced": func(h http.Handler) http.Handler { return unwraps(drops(h)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				outer, inner := newRecorder(), newRecorder()
				h := observed(outer, between(observed(inner, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", "text/event-stream")
					w.WriteHeader(201)
					for range 3 {
						<-time.After(time.Second)
						io.WriteString(w, "data: x\n\n")
						w.(http.Flusher).Flush()
					}
					panic(http.ErrAbortHandler)
				}))))
				func() {
					defer func() { _ = recover() }()
					h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
				}()
				a, b := one(t, outer), one(t, inner)
				want(t, a, 500, 201, UpstreamCut, 27)
				if a.Stream != (Stream{3, time.Second, time.Second}) || !reflect.DeepEqual(a, b) {
					t.Errorf("%+v\n%+v", a, b)
				}
			})
		})
	}
}

// A reverse proxy whose upstream breaks off cuts the answer.
func TestReverseProxy(t *testing.T) {
	each(t, func(t *testing.T, start func(http.Handler) *site) {
		upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "data: x\n\n")
			w.(http.Flusher).Flush()
			if r.URL.Path == "/cut" {
				panic(http.ErrAbortHandler)
			}
		}))
		defer upstream.Close()
		upstream.Config.ErrorLog = quiet
		u, _ := url.Parse(upstream.URL)
		proxy := httputil.NewSingleHostReverseProxy(u)
		proxy.ErrorLog = quiet
		o := newRecorder()
		s := start(observed(o, proxy))
		s.mustGet(t, "/")
		rec := one(t, o)
		want(t, rec, 200, 200, Complete, 9)
		if rec.Stream.Chunks != 1 {
			t.Errorf("%+v", rec.Stream)
		}
		if _, _, err := s.get(t, "/cut"); err == nil {
			t.Error("the client took a cut stream for whole")
		}
		want(t, one(t, o), 500, 200, UpstreamCut, 9)
	})
}

// A body that the server's read deadline cuts is the client's slowness, but
// the client is there and gets its answer.
func TestSlowBodyIsNoDisconnect(t *testing.T) {
	o := newRecorder()
	s := startSite(t, observedFunc(o, func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadAll(r.Body); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v", err)
		}
		w.WriteHeader(http.StatusRequestTimeout)
	}), false)
	conn, in := s.dial(t)
	io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nfour")
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != 408 {
		t.Fatalf("%+v %v", resp, err)
	}
	want(t, one(t, o), 408, 408, Complete, 0)
}

// An observer whose Begin the request does not wait for finishes all the same,
// once, and after its Begin.
func TestFinishNeverComesBeforeBegin(t *testing.T) {
	begun, release, finished := make(chan struct{}), make(chan struct{}), make(chan string, 2)
	inner := &slowBegin{begun, release, finished}
	outer := newRecorder()
	done := make(chan struct{})
	observedFunc(outer, func(w http.ResponseWriter, r *http.Request) {
		go func() {
			observedFunc(inner, func(http.ResponseWriter, *http.Request) {}).ServeHTTP(httptest.NewRecorder(), r)
			close(done)
		}()
		<-begun // and the handler returns before Begin does
	}).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	one(t, outer)
	if len(finished) != 0 {
		t.Error("Finish came before Begin was done")
	}
	close(release)
	<-done
	if len(finished) != 1 {
		t.Errorf("finished %d times", len(finished))
	}
}

type slowBegin struct {
	begun, release chan struct{}
	finished       chan string
}

func (s *slowBegin) Begin(*State, http.ResponseWriter, *http.Request) { close(s.begun); <-s.release }
func (s *slowBegin) Finish(*Record)                                   { s.finished <- "" }

// An observer that panics at the end does not take back an answer that is good.
func TestGuardKeepsTheAnswerOfABrokenObserver(t *testing.T) {
	each(t, func(t *testing.T, start func(http.Handler) *site) {
		broken := finisher(func(*Record) { panic("broken observer") })
		got := make(chan string, 10)
		s := start(guarded(observed(&broken, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "fine") })), got))
		if resp, body := s.mustGet(t, "/"); resp.StatusCode != 200 || body != "fine" {
			t.Errorf("the client got %d %q", resp.StatusCode, body)
		}
		if len(got) != 1 {
			t.Errorf("handled %d times", len(got))
		}
	})
}

// fmt prints contexts; that must neither race nor show what is inside.
func TestPrintingTheContext(t *testing.T) {
	observedFunc(newRecorder(), func(w http.ResponseWriter, r *http.Request) {
		done := make(chan string)
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		go func() { done <- fmt.Sprintf("%v %+v %s", r.Context(), ctx, r.Context()) }()
		for len(done) == 0 {
			w.Write([]byte("x"))
			FromContext(ctx).SetSubject("secret subject")
			select {
			case text := <-done:
				if strings.Contains(text, "secret") {
					t.Error(text)
				}
				return
			default:
				runtime.Gosched()
			}
		}
	}).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
}

// After a hijack, and after the seal, nothing is accounted, even if the writer
// beneath would take it.
func TestNothingIsAccountedAfterwards(t *testing.T) {
	p := &plain{httptest.NewRecorder()}
	o := newRecorder()
	var state *State
	observedFunc(o, func(w http.ResponseWriter, r *http.Request) {
		state = FromContext(r.Context())
		if _, _, err := w.(http.Hijacker).Hijack(); err != nil {
			t.Error(err)
		}
		w.WriteHeader(200)
		io.WriteString(w, "after")
		w.(http.Flusher).Flush()
		w.(io.ReaderFrom).ReadFrom(strings.NewReader("after"))
	}).ServeHTTP(p, httptest.NewRequest("GET", "/", nil))
	rec := one(t, o)
	want(t, rec, 101, 101, Hijacked, 0)
	if rec.Stream != (Stream{}) {
		t.Errorf("%+v", rec.Stream)
	}
	state.hijacked = false // the seal alone must do
	state.wrote(5, nil, "after", -1)
	state.flush()
	state.onWire()
	state.watch([]byte("event: error\n"))
	state.leave(httptest.NewRequest("GET", "/", nil))
	if got := state.Record(); !reflect.DeepEqual(got, rec) {
		t.Errorf("the record became %+v", got)
	}
	if state.events.Found() {
		t.Error("an event was found after the end")
	}
	if n, err := (&tap{s: state, src: strings.NewReader("x")}).Read(make([]byte, 1)); n != 0 || !errors.Is(err, ErrSealed) {
		t.Errorf("a tap reads on: %d %v", n, err)
	}
}

// 101 may also be written.
func TestSwitchingProtocolsByWriteHeader(t *testing.T) {
	o := newRecorder()
	s := startSite(t, observedFunc(o, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusSwitchingProtocols)
	}), false)
	conn, in := s.dial(t)
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v %v", resp, err)
	}
	want(t, one(t, o), 101, 101, Complete, 0)
}

// A write that takes a part counts that part.
func TestPartialWrites(t *testing.T) {
	o := newRecorder()
	observedFunc(o, func(w http.ResponseWriter, _ *http.Request) {
		w.Write(make([]byte, 10))
		w.(io.ReaderFrom).ReadFrom(strings.NewReader("0123456789"))
	}).ServeHTTP(&halves{}, httptest.NewRequest("GET", "/", nil))
	if rec := one(t, o); rec.Bytes != 10 {
		t.Errorf("%d bytes", rec.Bytes)
	}
}

// halves takes half of what it gets.
type halves struct{ discard }

func (h *halves) Header() http.Header         { return nil }
func (h *halves) Write(p []byte) (int, error) { return len(p) / 2, io.ErrShortWrite }
func (h *halves) ReadFrom(src io.Reader) (int64, error) {
	n, _ := src.Read(make([]byte, 10))
	return int64(n / 2), io.ErrShortWrite
}

// swallows holds back a failure, which next to it answers otherwise.
type swallows struct {
	http.ResponseWriter
	failed bool
}

func (s *swallows) Unwrap() http.ResponseWriter { return s.ResponseWriter }
func (s *swallows) WriteHeader(status int)      { s.failed = status >= 500 }
func (s *swallows) Write(p []byte) (int, error) { return len(p), nil }

// The reason of a problem reaches the record through a foreign writer, and only
// that of the answer that was sent: not of one that another took the place of, nor
// one that comes too late.
func TestReason(t *testing.T) {
	o := newRecorder()
	s := startSite(t, observedFunc(o, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/shed":
			problem.Write(copying{w}, r, 503, "", "queue-full", 0)
		case "/late":
			w.WriteHeader(500)
			problem.Write(w, r, 503, "", "queue-full", 0)
		case "/instead":
			problem.Write(&swallows{ResponseWriter: w}, r, 503, "", "queue-full", 0)
			io.WriteString(w, "from the cache")
		case "/twice":
			problem.Write(&swallows{ResponseWriter: w}, r, 503, "", "queue-full", 0)
			problem.Write(w, r, 503, "", "draining", 0)
		}
	}), false)
	for path, reason := range map[string]string{"/shed": "queue-full", "/late": "", "/instead": "", "/twice": "draining"} {
		s.mustGet(t, path)
		if rec := one(t, o); rec.Reason != reason {
			t.Errorf("%s: %q", path, rec.Reason)
		}
	}
}

type copying struct{ w http.ResponseWriter }

func (c copying) Unwrap() http.ResponseWriter { return c.w }
func (c copying) Header() http.Header         { return c.w.Header() }
func (c copying) Write(p []byte) (int, error) { return c.w.Write(p) }
func (c copying) WriteHeader(status int)      { c.w.WriteHeader(status) }

// So does that of one inside an http.TimeoutHandler, which hands its own writer on
// and lets nobody through.
func TestReasonInsideTimeoutHandler(t *testing.T) {
	o := newRecorder()
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { problem.Write(w, r, 503, "", "queue-full", 0) })
	h := http.TimeoutHandler(inner, time.Minute, "")
	s := startSite(t, observedFunc(o, h.ServeHTTP), false)
	s.mustGet(t, "/")
	if rec := one(t, o); rec.Reason != "queue-full" || rec.Status != 503 {
		t.Errorf("%d %q", rec.Status, rec.Reason)
	}
}
