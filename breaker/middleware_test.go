package breaker_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/breaker"
	"github.com/ballast-go/ballast/internal/reqstate"
)

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// handlers are ways to answer, and what they say of the service.
var handlers = map[string]struct {
	h    http.HandlerFunc
	want string
}{
	"nothing written": {func(http.ResponseWriter, *http.Request) {}, "success"},
	"200":             {status(200), "success"},
	"304":             {status(304), "success"},
	"400":             {status(400), "success"},
	"429":             {status(429), "ignore"},
	"499":             {status(499), "ignore"},
	"500":             {status(500), "failure"},
	"503":             {status(503), "failure"},
	"504":             {status(504), "failure"},
	"103, then 200": {func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(103)
		_, _ = io.WriteString(w, "x")
	}, "success"},
	"streamed":       {func(w http.ResponseWriter, _ *http.Request) { stream(w, "one"); stream(w, "two") }, "success"},
	"streamed error": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502); stream(w, "no"); stream(w, "good") }, "failure"},
	"streamed 429":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429); stream(w, "slow"); stream(w, "down") }, "ignore"},
	"events": {func(w http.ResponseWriter, _ *http.Request) {
		eventStream(w)
		stream(w, "data: token\n\n")
	}, "success"},
	"error event": {func(w http.ResponseWriter, _ *http.Request) {
		eventStream(w)
		stream(w, "data: token\n\n")
		stream(w, "event: error\ndata: {}\n\n")
	}, "failure"},
	"panic":   {func(http.ResponseWriter, *http.Request) { panic("a bug") }, "failure"},
	"abort":   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "failure"},
	"Goexit":  {func(http.ResponseWriter, *http.Request) { runtime.Goexit() }, "failure"},
	"cut off": {func(w http.ResponseWriter, _ *http.Request) { stream(w, "begun"); panic(http.ErrAbortHandler) }, "failure"},
	"too short": {func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "four")
	}, "failure"},
	"panic in a stream": {func(w http.ResponseWriter, _ *http.Request) { stream(w, "begun"); panic("a bug") }, "failure"},
}

// Over a network, the answers are judged alike by a breaker that owns the
// request's state, by one inside it, and by one behind what holds the answer back.
func TestMiddlewareJudges(t *testing.T) {
	eachProtocol(t, func(t *testing.T, start func(http.HandlerFunc) *httptest.Server) {
		for name, tt := range handlers {
			t.Run(name, func(t *testing.T) {
				owner, inner, held := breakerOf(t, breaker.Config{}), breakerOf(t, breaker.Config{}), breakerOf(t, breaker.Config{})
				none := breaker.MiddlewareConfig{}
				chain := breaker.Middleware(owner, none)(breaker.Middleware(inner, none)(holdsBack(breaker.Middleware(held, none)(tt.h))))
				left := make(chan struct{})
				srv := start(func(w http.ResponseWriter, r *http.Request) {
					defer close(left)
					chain.ServeHTTP(w, r)
				})
				// http.Client asks again where a connection closes unanswered, but not for a POST.
				resp, err := srv.Client().Post(srv.URL, "text/plain", strings.NewReader("body"))
				if err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				<-left
				for _, b := range []*breaker.Breaker{owner, inner, held} {
					wantOutcome(t, b, tt.want)
				}
			})
		}
	})
}

// holdsBack keeps the answer until the handler is left, as middlewares that
// compress or count do, and then sends what there is.
func holdsBack(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		late := &lateWriter{ResponseWriter: w}
		defer late.send()
		next.ServeHTTP(late, r)
	})
}

type lateWriter struct {
	http.ResponseWriter
	status int
	body   []byte
}

func (l *lateWriter) WriteHeader(status int) {
	if l.status == 0 && status >= 200 {
		l.status = status
	}
}
func (l *lateWriter) Write(p []byte) (int, error) {
	l.WriteHeader(200)
	l.body = append(l.body, p...)
	return len(p), nil
}
func (l *lateWriter) send() {
	if l.status != 0 {
		l.ResponseWriter.WriteHeader(l.status)
		_, _ = l.ResponseWriter.Write(l.body)
	}
}

type overdue struct{ error }

func (overdue) CredentialExpired() {}

// What was cut off because the caller's credential ended, as package auth's ErrExpired
// for a cause says, is the service's failure no more than the client's leaving is: or
// whoever has a short credential could open the breaker for all.
func TestMiddlewareIgnoresExpiredCredentials(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"abort": func(w http.ResponseWriter, _ *http.Request) { stream(w, "begun"); panic(http.ErrAbortHandler) },
		"502":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, // httputil.ReverseProxy's
	} {
		for cause, want := range map[error]string{overdue{errors.New("expired")}: "ignore", errors.New("shutting down"): "failure"} {
			owner, inner, held := breakerOf(t, breaker.Config{}), breakerOf(t, breaker.Config{}), breakerOf(t, breaker.Config{})
			none := breaker.MiddlewareConfig{}
			ends := func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					ctx, cancel := context.WithCancelCause(r.Context())
					cancel(cause)
					next.ServeHTTP(w, r.WithContext(ctx))
				})
			}
			chain := ends(breaker.Middleware(owner, none)(breaker.Middleware(inner, none)(holdsBack(breaker.Middleware(held, none)(h)))))
			func() {
				defer func() { _ = recover() }()
				chain.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
			}()
			for _, b := range []*breaker.Breaker{owner, inner, held} {
				if wantOutcome(t, b, want); t.Failed() {
					t.Fatalf("%s, canceled by %v", name, cause)
				}
			}
		}
	}
}

func TestMiddlewareIgnoresWhoLeaves(t *testing.T) {
	eachProtocol(t, func(t *testing.T, start func(http.HandlerFunc) *httptest.Server) {
		for name, end := range map[string]func(){
			"return": func() {},
			"abort":  func() { panic(http.ErrAbortHandler) }, // as httputil.ReverseProxy does
			"Goexit": runtime.Goexit,
		} {
			t.Run(name, func(t *testing.T) {
				owner, inner := breakerOf(t, breaker.Config{}), breakerOf(t, breaker.Config{})
				none := breaker.MiddlewareConfig{}
				h := breaker.Middleware(owner, none)(breaker.Middleware(inner, none)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					stream(w, "begun")
					<-r.Context().Done()
					end()
				})))
				left := make(chan struct{})
				srv := start(func(w http.ResponseWriter, r *http.Request) {
					defer close(left)
					h.ServeHTTP(w, r)
				})
				ctx, cancel := context.WithCancel(t.Context())
				r, _ := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
				resp, err := srv.Client().Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				cancel()
				<-left
				wantOutcome(t, owner, "ignore")
				wantOutcome(t, inner, "ignore")
			})
		}
	})
}

// Whoever panics because his client has left has a bug.
func TestMiddlewarePanicOfWhoWasLeft(t *testing.T) {
	owner, inner := breakerOf(t, breaker.Config{}), breakerOf(t, breaker.Config{})
	none := breaker.MiddlewareConfig{}
	ctx, cancel := context.WithCancel(t.Context())
	h := breaker.Middleware(owner, none)(breaker.Middleware(inner, none)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		cancel()
		panic("a bug")
	})))
	defer func() {
		if recover() != "a bug" {
			t.Error("the panic did not go on")
		}
		wantOutcome(t, owner, "failure")
		wantOutcome(t, inner, "failure")
	}()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/", nil))
}

// The owner sees a whole answer where something in between turns an abort into
// one. The breaker inside has seen the abort.
func TestMiddlewareAbortThatIsSwallowed(t *testing.T) {
	owner, inner := breakerOf(t, breaker.Config{}), breakerOf(t, breaker.Config{})
	none := breaker.MiddlewareConfig{}
	swallows := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() { _ = recover() }()
			next.ServeHTTP(w, r)
		})
	}
	h := breaker.Middleware(owner, none)(swallows(breaker.Middleware(inner, none)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	}))))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	wantOutcome(t, owner, "success")
	wantOutcome(t, inner, "failure")
}

func TestMiddlewareTimeoutHandler(t *testing.T) {
	for _, order := range []string{"outside", "between"} {
		t.Run(order, func(t *testing.T) {
			owner, inner := breakerOf(t, breaker.Config{}), breakerOf(t, breaker.Config{})
			none := breaker.MiddlewareConfig{}
			left, answered := make(chan struct{}), make(chan struct{})
			// One that returned together with its deadline might still be the one to answer.
			var h http.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-answered })
			h = breaker.Middleware(inner, none)(h)
			if order == "outside" {
				h = breaker.Middleware(owner, none)(h)
			}
			h = leaves(h, left)
			h = http.TimeoutHandler(h, time.Millisecond, "late")
			if order == "between" {
				h = breaker.Middleware(owner, none)(h)
			}
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
			close(answered)
			<-left
			if rec.Code != 503 {
				t.Errorf("status %d", rec.Code)
			}
			wantOutcome(t, owner, "failure")
			wantOutcome(t, inner, "failure")
		})
	}
}

// leaves closes left when next is left.
func leaves(next http.Handler, left chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(left)
		next.ServeHTTP(w, r)
	})
}

// unread fails the test if anybody reads it.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, errors.New("read")
}

func TestMiddlewareRefuses(t *testing.T) {
	outer, b := breakerOf(t, breaker.Config{}), breakerOf(t, breaker.Config{Name: "SECRET"})
	b.ForceOpen()
	none := breaker.MiddlewareConfig{}
	h := breaker.Middleware(outer, none)(breaker.Middleware(b, none)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("it got in")
	})))
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("POST", "/", unread{t}))
	if rec.Code != 503 || rec.Header().Get("Content-Type") != "application/problem+json" || rec.Header().Get("Retry-After") == "" ||
		!strings.Contains(rec.Body.String(), `"reason":"breaker-open"`) || strings.Contains(rec.Body.String(), "SECRET") {
		t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	}
	if b.Stats().Rejected != 1 {
		t.Error("not counted")
	}
	wantOutcome(t, outer, "ignore") // which says nothing of the service as a whole
}

func TestMiddlewareDeny(t *testing.T) {
	for name, flushes := range map[string]bool{"at once": false, "in a stream": true} {
		outer, b := breakerOf(t, breaker.Config{}), breakerOf(t, breaker.Config{})
		b.ForceOpen()
		var got error
		h := breaker.Middleware(outer, breaker.MiddlewareConfig{})(breaker.Middleware(b, breaker.MiddlewareConfig{
			Deny: func(w http.ResponseWriter, _ *http.Request, err error) {
				got = err
				w.WriteHeader(500)
				if flushes {
					stream(w, "no")
				}
			},
		})(http.NotFoundHandler()))
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
		if rec.Code != 500 || !errors.Is(got, breaker.ErrOpen) {
			t.Errorf("%s: %d, %v", name, rec.Code, got)
		}
		wantOutcome(t, outer, "ignore")
	}
}

func TestMiddlewarePick(t *testing.T) {
	good, bad := breakerOf(t, breaker.Config{}), breakerOf(t, breaker.Config{})
	bad.ForceOpen()
	h := breaker.Middleware(nil, breaker.MiddlewareConfig{Pick: func(r *http.Request) *breaker.Breaker {
		return map[string]*breaker.Breaker{"/good": good, "/bad": bad}[r.URL.Path]
	}})(status(204))
	for path, want := range map[string]int{"/good": 204, "/bad": 503, "/other": 204} {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
		if rec.Code != want {
			t.Errorf("%s: %d", path, rec.Code)
		}
	}
	wantOutcome(t, good, "success")
	wantOutcome(t, bad, "nothing")
}

// Judge is asked about whole answers only, whoever owns the state; and it may look
// at the state, even though a stream's first bytes are judged while that is locked.
func TestMiddlewareJudge(t *testing.T) {
	for name, tt := range map[string]struct {
		h     http.HandlerFunc
		asked int
		want  string
	}{
		"404":                  {status(404), 404, "failure"},
		"500":                  {status(500), 500, "success"},
		"streamed 404":         {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404); stream(w, "none") }, 404, "failure"},
		"streamed 500":         {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); stream(w, "none") }, 500, "success"},
		"streamed 200":         {func(w http.ResponseWriter, _ *http.Request) { stream(w, "one") }, 200, "success"},
		"abort":                {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0, "failure"},
		"panic of the Judge's": {status(599), 599, "failure"},
	} {
		owner, b := breakerOf(t, breaker.Config{}), breakerOf(t, breaker.Config{})
		asked := 0
		cfg := breaker.MiddlewareConfig{Judge: func(r *http.Request, status int) breaker.Outcome {
			if s := reqstate.FromContext(r.Context()); s != nil {
				s.IDs()
			}
			switch asked = status; status {
			case 404:
				return breaker.Failure
			case 599:
				panic("a bug")
			}
			return breaker.Success
		}}
		for _, h := range []http.Handler{
			breaker.Middleware(b, cfg)(tt.h),
			breaker.Middleware(owner, breaker.MiddlewareConfig{})(breaker.Middleware(b, cfg)(tt.h)),
		} {
			before := b.Stats()
			func() {
				defer func() { _ = recover() }()
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
			}()
			s := b.Stats()
			got := "ignore"
			if s.Successes > before.Successes {
				got = "success"
			} else if s.Failures > before.Failures {
				got = "failure"
			}
			if asked != tt.asked || got != tt.want || s.Successes+s.Failures != before.Successes+before.Failures+1 {
				t.Errorf("%s: asked about %d, reported %s: %+v", name, asked, got, s)
			}
		}
	}
}

// A probe that has begun to answer is one that succeeded: an hour of tokens does
// not hold up the recovery, nor is it a slow call, nor does its end count twice.
func TestMiddlewareStreamAsAProbe(t *testing.T) {
	for name, begin := range map[string]func(http.ResponseWriter){
		"flushed": func(w http.ResponseWriter) { stream(w, "data: token\n\n") },
		"large":   func(w http.ResponseWriter) { _, _ = w.Write(make([]byte, 10_000)) },
		"hijack":  func(w http.ResponseWriter) { _, _, _ = http.NewResponseController(w).Hijack() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := halfOpen(t, breaker.Config{SlowAfter: time.Second})
				before := b.Stats()
				h := breaker.Middleware(b, breaker.MiddlewareConfig{})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					flush(w) // the header alone is no answer
					if s := b.State(); s != breaker.HalfOpen {
						t.Errorf("%v before anything is sent", s)
					}
					begin(w)
					if s := b.State(); s != breaker.Recovering {
						t.Errorf("%v after the first byte", s)
					}
					pass(time.Hour)
				}))
				h.ServeHTTP(hijackable{httptest.NewRecorder()}, httptest.NewRequest("GET", "/", nil))
				if s := b.Stats(); s.Successes != before.Successes+1 || s.Failures != before.Failures || s.Slow != 0 || s.ExpiredProbes != 0 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

type hijackable struct{ *httptest.ResponseRecorder }

func (hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, nil }

// A probe that answers with an error has failed, whatever it streams. What a Judge
// will say of it is not known before the end.
func TestMiddlewareFailedStreamAsAProbe(t *testing.T) {
	for want, cfg := range map[breaker.State]breaker.MiddlewareConfig{
		breaker.Open:     {},
		breaker.HalfOpen: {Judge: func(*http.Request, int) breaker.Outcome { return breaker.Failure }},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := halfOpen(t, breaker.Config{})
			h := breaker.Middleware(b, cfg)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(502)
				stream(w, "sorry")
				if s := b.State(); s != want {
					t.Errorf("%v after the first byte of an error, want %v", s, want)
				}
			}))
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
			if s := b.State(); s != breaker.Open {
				t.Errorf("%v at last", s)
			}
		})
	}
}

// What a request waits for before it comes to the breaker is no time of the
// service; what it takes after that is.
func TestMiddlewareServiceTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		owner, b := breakerOf(t, breaker.Config{SlowAfter: time.Second}), breakerOf(t, breaker.Config{SlowAfter: time.Second})
		none := breaker.MiddlewareConfig{}
		waits := func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				pass(time.Minute)
				next.ServeHTTP(w, r)
			})
		}
		h := breaker.Middleware(owner, none)(waits(breaker.Middleware(b, none)(status(200))))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		if s, o := b.Stats(), owner.Stats(); s.Slow != 0 || o.Slow != 1 {
			t.Errorf("slow: %d inside the queue, %d outside", s.Slow, o.Slow)
		}
		breaker.Middleware(b, none)(waits(status(200))).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		if s := b.Stats(); s.Slow != 1 {
			t.Errorf("slow: %d", s.Slow)
		}
	})
}

func TestMiddlewareHijack(t *testing.T) {
	b := breakerOf(t, breaker.Config{})
	left := make(chan struct{})
	srv := httptest.NewServer(leaves(breaker.Middleware(b, breaker.MiddlewareConfig{})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nbye\n")
		_ = rw.Flush()
	})), left))
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	<-left
	wantOutcome(t, b, "success")
	if got, err := io.ReadAll(conn); err != nil || !strings.HasSuffix(string(got), "bye\n") {
		t.Errorf("%q, %v", got, err)
	}
}

// A request inside a request is an answer of its own.
func TestMiddlewareWithoutState(t *testing.T) {
	outer, inner := breakerOf(t, breaker.Config{}), breakerOf(t, breaker.Config{})
	sub := breaker.Middleware(inner, breaker.MiddlewareConfig{})(status(503))
	h := breaker.Middleware(outer, breaker.MiddlewareConfig{})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sub.ServeHTTP(httptest.NewRecorder(), r.WithContext(breaker.WithoutState(r.Context())))
		w.WriteHeader(200)
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	wantOutcome(t, outer, "success")
	wantOutcome(t, inner, "failure")
}

// What the mux leaves in the request is found outside.
func TestMiddlewareKeepsThePattern(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("GET /a/{b}", status(200))
	r := httptest.NewRequest("GET", "/a/1", nil)
	breaker.Middleware(breakerOf(t, breaker.Config{}), breaker.MiddlewareConfig{})(mux).ServeHTTP(httptest.NewRecorder(), r)
	if r.Pattern != "GET /a/{b}" {
		t.Errorf("pattern %q", r.Pattern)
	}
}

func TestMiddlewarePanicsWhenBuilt(t *testing.T) {
	for name, build := range map[string]func(){
		"Middleware":   func() { breaker.Middleware(nil, breaker.MiddlewareConfig{}) },
		"NewTransport": func() { breaker.NewTransport(nil, nil, breaker.TransportConfig{}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			build()
		}()
	}
}

func TestMiddlewareAllocations(t *testing.T) {
	for name, cfg := range map[string]breaker.Config{"rate": {}, "slow": {SlowAfter: time.Second}} {
		h := breaker.Middleware(breakerOf(t, cfg), breaker.MiddlewareConfig{})(status(204))
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
		// The shared state and its request, which whoever is outside makes, and the call.
		if n := testing.AllocsPerRun(1000, func() { h.ServeHTTP(w, r) }); n > 3 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkMiddleware(b *testing.B) {
	for name, cfg := range map[string]breaker.Config{"rate": {}, "slow": {SlowAfter: time.Second}} {
		b.Run(name, func(b *testing.B) {
			h := breaker.Middleware(breakerOf(b, cfg), breaker.MiddlewareConfig{})(status(204))
			w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		})
	}
}
