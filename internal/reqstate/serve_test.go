package reqstate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestStatus(t *testing.T) {
	tests := []struct {
		name    string
		handler http.HandlerFunc
		status  int
		bytes   int64
	}{
		{"implicit 200 without a body", func(http.ResponseWriter, *http.Request) {}, 200, 0},
		{"implicit 200 by Write", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("four")) }, 200, 4},
		{"implicit 200 by WriteString", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "four") }, 200, 4},
		{"implicit 200 by Flush", func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() }, 200, 0},
		{"103 then 200", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusOK)
		}, 200, 0},
		{"100 and 103, then an implicit 200", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusContinue)
			w.WriteHeader(http.StatusEarlyHints)
			w.Write([]byte("x"))
		}, 200, 1},
		{"404 then 500: the first is sent", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			w.WriteHeader(500)
		}, 404, 0},
		{"204 refuses a body", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(204)
			if _, err := w.Write([]byte("x")); !errors.Is(err, http.ErrBodyNotAllowed) {
				panic(fmt.Sprint("write after 204: ", err))
			}
		}, 204, 0},
		{"whole with Content-Length", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "4")
			w.Write([]byte("four"))
		}, 200, 4},
	}
	each(t, func(t *testing.T, start func(http.Handler) *site) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				o := newRecorder()
				s := start(observed(o, tt.handler))
				resp, body := s.mustGet(t, "/")
				want(t, one(t, o), tt.status, tt.status, Complete, tt.bytes)
				if resp.StatusCode != tt.status || int64(len(body)) != tt.bytes {
					t.Errorf("the client got %d with %q", resp.StatusCode, body)
				}
			})
		}
	})
}

func TestHeadCountsNoBody(t *testing.T) {
	each(t, func(t *testing.T, start func(http.Handler) *site) {
		o := newRecorder()
		s := start(observedFunc(o, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			io.WriteString(w, "four")
		}))
		resp, err := s.client.Head(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		want(t, one(t, o), 200, 200, Complete, 0)
	})
}

func TestTruncatedAnswerIsNoComplete200(t *testing.T) {
	each(t, func(t *testing.T, start func(http.Handler) *site) {
		for _, written := range []string{"", "four"} {
			o := newRecorder()
			s := start(observedFunc(o, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "9")
				if written != "" {
					io.WriteString(w, written)
				}
			}))
			if _, body, err := s.get(t, "/"); err == nil {
				t.Errorf("the client took %q for whole", body)
			}
			want(t, one(t, o), 500, 200, UpstreamCut, int64(len(written)))
		}
	})
}

func TestPanics(t *testing.T) {
	boom := errors.New("boom")
	tests := []struct {
		name    string
		handler http.HandlerFunc
		sent    int
		outcome Outcome
		value   any
		bytes   int64
	}{
		{"panic before the first byte", func(http.ResponseWriter, *http.Request) { panic(boom) }, 0, Panicked, boom, 0},
		{"panic after a flush", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "part")
			w.(http.Flusher).Flush()
			panic(boom)
		}, 200, Panicked, boom, 4},
		{"abort before the first byte", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0, Aborted, nil, 0},
		{"abort after a flush", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "part")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, 200, UpstreamCut, nil, 4},
		{"Goexit before the first byte", func(http.ResponseWriter, *http.Request) { runtime.Goexit() }, 0, Aborted, nil, 0},
		{"Goexit after a flush", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "part")
			w.(http.Flusher).Flush()
			runtime.Goexit()
		}, 200, UpstreamCut, nil, 4},
		{"bad status code", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(42) }, 0, Panicked, "invalid WriteHeader code 42", 0},
	}
	each(t, func(t *testing.T, start func(http.Handler) *site) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				o, inner := newRecorder(), newRecorder()
				passed := make(chan any, 1)
				chain := observed(o, observed(inner, tt.handler))
				s := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer func() {
						v := recover()
						passed <- v
						if v != nil {
							panic(v)
						}
					}()
					chain.ServeHTTP(w, r)
				}))
				if resp, body, err := s.get(t, "/"); err == nil {
					t.Errorf("the client took this for whole: %d %q", resp.StatusCode, body)
				}
				rec := one(t, o)
				want(t, rec, 500, tt.sent, tt.outcome, tt.bytes)
				if rec.Panic != tt.value {
					t.Errorf("recorded the panic value %v", rec.Panic)
				}
				want(t, one(t, inner), 500, tt.sent, tt.outcome, tt.bytes)
				v := <-passed
				switch {
				case strings.HasPrefix(tt.name, "Goexit"):
					if v != nil {
						t.Errorf("Goexit became the panic %v", v)
					}
				case strings.HasPrefix(tt.name, "abort"):
					if v != http.ErrAbortHandler {
						t.Errorf("passed on %v", v)
					}
				case v != tt.value:
					t.Errorf("passed on %v", v)
				}
			})
		}
	})
}

func TestClientDisconnect(t *testing.T) {
	each(t, func(t *testing.T, start func(http.Handler) *site) {
		for _, begun := range []bool{false, true} {
			t.Run(fmt.Sprintf("begun=%v", begun), func(t *testing.T) {
				o := newRecorder()
				entered := make(chan struct{})
				s := start(observedFunc(o, func(w http.ResponseWriter, r *http.Request) {
					if begun {
						io.WriteString(w, "part")
						w.(http.Flusher).Flush()
					}
					close(entered)
					<-r.Context().Done()
					http.Error(w, "late", http.StatusServiceUnavailable) // what most handlers do then
				}))
				ctx, leave := context.WithCancel(t.Context())
				req, _ := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
				go func() { <-entered; leave() }()
				if resp, err := s.client.Do(req); err == nil {
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				rec := one(t, o)
				if rec.Status != StatusClientGone || rec.Outcome != ClientGone {
					t.Errorf("got %d %v", rec.Status, rec.Outcome)
				}
			})
		}
	})
}

// A client that has read all of a declared length and leaves took nothing amiss.
func TestClientLeavesAfterTheWholeAnswer(t *testing.T) {
	o := newRecorder()
	s := startSite(t, observedFunc(o, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "4")
		io.WriteString(w, "four")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}), false)
	conn, in := s.dial(t)
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); string(body) != "four" || err != nil {
		t.Fatalf("%q %v", body, err)
	}
	conn.Close()
	want(t, one(t, o), 200, 200, Complete, 4)
}

// The service's own cancelling, with a cause, is not the client's leaving.
func TestOwnCancelIsNoDisconnect(t *testing.T) {
	o := newRecorder()
	h := observedFunc(o, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) })
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("shutting down"))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(ctx))
	want(t, one(t, o), 503, 503, Complete, 0)
}

func TestStreamFacts(t *testing.T) {
	tests := []struct {
		name    string
		end     func(w http.ResponseWriter)
		outcome Outcome
		status  int
	}{
		{"complete", func(http.ResponseWriter) {}, Complete, 200},
		{"error event", func(w http.ResponseWriter) { io.WriteString(w, "event: error\ndata: out of memory\n\n") }, ErrorEvent, 500},
		{"OpenAI error", func(w http.ResponseWriter) { io.WriteString(w, "data: {\"error\": {\"code\": 500}}\n\n") }, ErrorEvent, 500},
		{"cut", func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, UpstreamCut, 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newRecorder()
				h := observedFunc(o, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
					w.(http.Flusher).Flush() // the header alone is no chunk
					for _, wait := range []time.Duration{300, 20, 70, 10} {
						<-time.After(wait * time.Millisecond)
						// One chunk, however many writes it took.
						io.WriteString(w, "data: ")
						io.WriteString(w, "token\n\n")
						w.(http.Flusher).Flush()
					}
					<-time.After(5 * time.Millisecond)
					tt.end(w)
				})
				func() {
					defer func() { _ = recover() }()
					h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
				}()
				rec := one(t, o)
				got := rec.Stream
				if rec.Outcome == ErrorEvent {
					got.Chunks-- // the event itself left at the end
				}
				if want := (Stream{4, 300 * time.Millisecond, 70 * time.Millisecond}); got != want {
					t.Errorf("got %+v, want %+v", got, want)
				}
				if rec.Outcome != tt.outcome || rec.Status != tt.status || rec.Sent != 200 {
					t.Errorf("ended %v %d", rec.Outcome, rec.Status)
				}
				if rec.Duration != 405*time.Millisecond {
					t.Errorf("took %v", rec.Duration)
				}
			})
		})
	}
}

// An event reaches the client before the next one is made.
func TestEventsEndToEnd(t *testing.T) {
	each(t, func(t *testing.T, start func(http.Handler) *site) {
		o := newRecorder()
		more := make(chan struct{})
		s := start(observedFunc(o, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 3 {
				fmt.Fprintf(w, "data: %d\n\n", i)
				if err := http.NewResponseController(w).Flush(); err != nil {
					panic(err)
				}
				<-more
			}
		}))
		resp, err := s.client.Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for i := range 3 {
			event := make([]byte, len("data: 0\n\n"))
			if _, err := io.ReadFull(resp.Body, event); err != nil || string(event) != fmt.Sprintf("data: %d\n\n", i) {
				t.Fatalf("%q %v", event, err)
			}
			more <- struct{}{}
		}
		rec := one(t, o)
		want(t, rec, 200, 200, Complete, 27)
		if rec.Stream.Chunks != 3 || rec.Stream.TimeToFirstByte <= 0 || rec.Stream.TimeToFirstByte > rec.Duration {
			t.Errorf("%+v in %v", rec.Stream, rec.Duration)
		}
	})
}

// A body beyond the server's buffer leaves by itself; a small one does not.
func TestUnflushedChunks(t *testing.T) {
	o := newRecorder()
	s := startSite(t, observedFunc(o, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			for range 3 {
				w.Write(make([]byte, 5000))
			}
		}
		w.Write(make([]byte, 100))
	}), false)
	s.mustGet(t, "/large")
	if rec := one(t, o); rec.Stream.Chunks != 4 {
		t.Errorf("large: %+v", rec.Stream)
	}
	s.mustGet(t, "/small")
	if rec := one(t, o); rec.Stream != (Stream{}) {
		t.Errorf("small: %+v", rec.Stream)
	}
}

func TestTimeoutHandlerInside(t *testing.T) {
	each(t, func(t *testing.T, start func(http.Handler) *site) {
		outer, inner := newRecorder(), newRecorder()
		left := make(chan struct{})
		var state *State
		s := start(observed(outer, http.TimeoutHandler(observedFunc(inner, func(w http.ResponseWriter, r *http.Request) {
			defer close(left)
			state = FromContext(r.Context())
			<-r.Context().Done()
			for len(outer.recs) == 0 || len(inner.recs) == 0 { // until the account is closed
				runtime.Gosched()
			}
			state.SetSubject("late")
			state.SetPanic("late")
			state.SetRequestID("late")
			w.WriteHeader(418)
			io.WriteString(w, "late")
		}), time.Millisecond, "too slow")))
		resp, body := s.mustGet(t, "/")
		if resp.StatusCode != 503 || body != "too slow" {
			t.Errorf("the client got %d %q", resp.StatusCode, body)
		}
		<-left
		for _, o := range []*recorder{outer, inner} {
			rec := one(t, o)
			want(t, rec, 503, 503, Complete, int64(len("too slow")))
			if rec.Subject != "" || rec.Panic != nil {
				t.Errorf("a late call changed the record: %+v", rec)
			}
		}
		if got := state.Record(); got.Subject != "" || got.Panic != nil || got.RequestID != "" {
			t.Errorf("a late call changed the state: %+v", got)
		}
	})
}

func TestTimeoutHandlerAround(t *testing.T) {
	each(t, func(t *testing.T, start func(http.Handler) *site) {
		for name, handler := range map[string]http.HandlerFunc{
			"writes nothing": func(http.ResponseWriter, *http.Request) {},
			"writes":         func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "late") },
			"status only":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201) },
		} {
			t.Run(name, func(t *testing.T) {
				o := newRecorder()
				answered := make(chan struct{})
				s := start(http.TimeoutHandler(observedFunc(o, func(w http.ResponseWriter, r *http.Request) {
					<-answered
					handler(w, r)
				}), time.Millisecond, "too slow"))
				if resp, body := s.mustGet(t, "/"); resp.StatusCode != 503 || body != "too slow" {
					t.Errorf("the client got %d %q", resp.StatusCode, body)
				}
				close(answered)
				rec := one(t, o)
				if rec.Status != 503 || rec.Outcome != TimedOut || rec.Bytes != 0 {
					t.Errorf("got %d %v, %d bytes", rec.Status, rec.Outcome, rec.Bytes)
				}
			})
		}
	})
}

// In time, TimeoutHandler changes nothing, wherever it stands.
func TestTimeoutHandlerInTime(t *testing.T) {
	each(t, func(t *testing.T, start func(http.Handler) *site) {
		outer, inner := newRecorder(), newRecorder()
		mux := http.NewServeMux()
		mux.HandleFunc("POST /made/{id}", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(201)
			io.WriteString(w, "made")
		})
		h := http.TimeoutHandler(observed(inner, mux), time.Hour, "")
		s := start(http.TimeoutHandler(observed(outer, h), time.Hour, ""))
		resp, err := s.client.Post(s.URL+"/made/7", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		for _, o := range []*recorder{outer, inner} {
			rec := one(t, o)
			want(t, rec, 201, 201, Complete, 4)
			if rec.Route != "/made/{id}" {
				t.Errorf("route %q", rec.Route)
			}
		}
	})
}

func TestSubRequest(t *testing.T) {
	o := newRecorder()
	var optOut bool
	mux := http.NewServeMux()
	h := observed(o, mux)
	mux.HandleFunc("/outer", func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if optOut {
			ctx = WithoutState(ctx)
			if FromContext(ctx) != nil {
				t.Error("WithoutState left the state in the context")
			}
		}
		sub := httptest.NewRequest("GET", "/inner", nil).WithContext(ctx)
		h.ServeHTTP(httptest.NewRecorder(), sub)
		w.WriteHeader(202)
	})
	mux.HandleFunc("/inner", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) })

	s := startSite(t, h, false)
	s.mustGet(t, "/outer")
	want(t, one(t, o), 202, 202, Complete, 0) // the sub-request is part of it

	optOut = true
	s.mustGet(t, "/outer")
	first, second := <-o.recs, <-o.recs
	want(t, first, 404, 404, Complete, 0)
	want(t, second, 202, 202, Complete, 0)
	if first.Route != "/inner" || second.Route != "/outer" {
		t.Errorf("routes %q and %q", first.Route, second.Route)
	}
	if len(o.recs) != 0 {
		t.Error("more than two records")
	}
}

func TestWithoutStateBeatsTheWriter(t *testing.T) {
	o, sub := newRecorder(), newRecorder()
	h := observedFunc(o, func(w http.ResponseWriter, r *http.Request) {
		observedFunc(sub, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }).
			ServeHTTP(w, r.WithContext(WithoutState(r.Context())))
	})
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	a, b := one(t, o), one(t, sub)
	if a.Start.Equal(b.Start) && a.Duration == b.Duration {
		t.Error("the sub-request joined the request")
	}
}

func TestRoute(t *testing.T) {
	pass := func(h http.Handler) http.Handler { return h }
	both := func(h http.Handler) http.Handler { return wrapsWriter(copiesRequest(h)) }
	tests := []struct{ method, path, route string }{
		{"POST", "/predict", "/predict"},
		{"GET", "/models/a", "/models/{id}"},
		{"GET", "/nothing/here", Unmatched},
		{"DELETE", "/predict", Unmatched},
		{"GET", "/host", "example.com/host"},
		{"GET", "/tree", "/tree/"},
	}
	each(t, func(t *testing.T, start func(http.Handler) *site) {
		for name, between := range map[string]func(http.Handler) http.Handler{
			"nothing between": pass, "writer wrapped": wrapsWriter, "request copied": copiesRequest, "both": both,
		} {
			t.Run(name, func(t *testing.T) {
				mux := http.NewServeMux()
				for _, p := range []string{"POST /predict", "GET\t /models/{id}", "example.com/host", "/tree/"} {
					mux.HandleFunc(p, func(http.ResponseWriter, *http.Request) {})
				}
				outer, inner := newRecorder(), newRecorder()
				s := start(observed(outer, between(observed(inner, mux))))
				s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
				for _, tt := range tests {
					req, _ := http.NewRequest(tt.method, s.URL+tt.path, nil)
					if tt.path == "/host" {
						req.Host = "example.com"
					}
					resp, err := s.client.Do(req)
					if err != nil {
						t.Fatal(err)
					}
					resp.Body.Close()
					a, b := one(t, outer), one(t, inner)
					if a.Route != tt.route || b.Route != tt.route {
						t.Errorf("%s %s: routes %q and %q, want %q", tt.method, tt.path, a.Route, b.Route, tt.route)
					}
					if a.Status != resp.StatusCode || b.Status != resp.StatusCode {
						t.Errorf("%s %s: status %d and %d, sent %d", tt.method, tt.path, a.Status, b.Status, resp.StatusCode)
					}
				}
			})
		}
	})
}

// ServeMux puts the client's path into Pattern when it redirects CONNECT.
func TestConnectPathIsNoRoute(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/users/{name}/", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("CONNECT /tunnel", func(http.ResponseWriter, *http.Request) {})
	o := newRecorder()
	h := observed(o, mux)
	for path, route := range map[string]string{"/users/chosen-by-client": Unmatched, "/tunnel": "/tunnel"} {
		req := httptest.NewRequest("CONNECT", path, nil)
		h.ServeHTTP(httptest.NewRecorder(), req)
		if rec := one(t, o); rec.Route != route {
			t.Errorf("%s: route %q, want %q", path, rec.Route, route)
		}
	}
}

// A middleware outside ours finds the pattern on its own request.
func TestPatternReachesTheCaller(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/a", func(http.ResponseWriter, *http.Request) {})
	r := httptest.NewRequest("GET", "/a", nil)
	observed(newRecorder(), mux).ServeHTTP(httptest.NewRecorder(), r)
	if r.Pattern != "/a" {
		t.Errorf("got %q", r.Pattern)
	}
}

// The server removes an upload's temporary files though it saw another copy of
// the request parse the form.
func TestUploadsAreRemoved(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	each(t, func(t *testing.T, start func(http.Handler) *site) {
		files := func() int {
			all, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			return len(all)
		}
		s := start(observedFunc(newRecorder(), func(_ http.ResponseWriter, r *http.Request) {
			if err := r.ParseMultipartForm(1); err != nil || files() != 1 {
				t.Errorf("%v, %d files", err, files())
			}
		}))
		body := "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n" + strings.Repeat("x", 11<<20) + "\r\n--b--\r\n"
		resp, err := s.client.Post(s.URL, "multipart/form-data; boundary=b", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		s.Close() // waits for the server's own end of the request
		if n := files(); n != 0 {
			t.Errorf("%d temporary files are left", n)
		}
	})
}

type finisher func(*Record)

func (finisher) Begin(*State, http.ResponseWriter, *http.Request) {}
func (f finisher) Finish(rec *Record)                             { f(rec) }

func TestObserversFinishInnermostFirstAndOnce(t *testing.T) {
	var order []int
	h := http.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	observers := make([]Observer, 10) // more than a State holds inline
	for i := range observers {
		f := finisher(func(*Record) {
			order = append(order, i)
			if i == 5 {
				panic("a broken hook")
			}
		})
		observers[i] = &f
	}
	for _, o := range slices.Backward(observers) {
		h = observed(o, observed(o, h)) // mounted twice by mistake
	}
	func() {
		defer func() {
			if v := recover(); v != "a broken hook" {
				t.Errorf("recovered %v", v)
			}
		}()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}()
	if want := []int{9, 8, 7, 6, 5, 4, 3, 2, 1, 0}; !slices.Equal(order, want) {
		t.Errorf("got %v", order)
	}
}

// After its end a request's state and writer are dead, and a request made with
// its context is accounted on its own.
func TestOutlivingHandler(t *testing.T) {
	o, late := newRecorder(), newRecorder()
	var w2 http.ResponseWriter
	var r2 *http.Request
	rec := httptest.NewRecorder()
	observedFunc(o, func(w http.ResponseWriter, r *http.Request) { w2, r2 = w, r }).
		ServeHTTP(&plain{rec}, httptest.NewRequest("GET", "/", nil))
	want(t, one(t, o), 200, 200, Complete, 0)

	if _, err := w2.Write([]byte("x")); !errors.Is(err, ErrSealed) {
		t.Errorf("Write: %v", err)
	}
	if _, err := io.WriteString(w2, "x"); !errors.Is(err, ErrSealed) {
		t.Errorf("WriteString: %v", err)
	}
	if _, err := w2.(io.ReaderFrom).ReadFrom(strings.NewReader("x")); !errors.Is(err, ErrSealed) {
		t.Errorf("ReadFrom: %v", err)
	}
	if err := http.NewResponseController(w2).Flush(); !errors.Is(err, ErrSealed) {
		t.Errorf("Flush: %v", err)
	}
	if _, _, err := w2.(http.Hijacker).Hijack(); !errors.Is(err, ErrSealed) {
		t.Errorf("Hijack: %v", err)
	}
	if err := w2.(http.Pusher).Push("/", nil); !errors.Is(err, ErrSealed) {
		t.Errorf("Push: %v", err)
	}
	w2.WriteHeader(500)
	w2.Header().Set("X-Late", "1")
	if rec.Body.Len() != 0 || rec.Header().Get("X-Late") != "" || rec.Code != 200 {
		t.Errorf("a late call reached the client: %+v", rec)
	}

	observedFunc(late, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }).
		ServeHTTP(httptest.NewRecorder(), r2)
	want(t, one(t, late), 404, 404, Complete, 0)
	if len(o.recs) != 0 {
		t.Error("the late request was accounted twice")
	}
}

func TestSlots(t *testing.T) {
	o := newRecorder()
	var during Record
	observedFunc(o, func(w http.ResponseWriter, r *http.Request) {
		s := FromContext(r.Context())
		s.SetRequestID("id")
		s.SetSubject("who")
		s.SetTrace([16]byte{1}, [8]byte{2}, true)
		s.SetRefused()
		w.WriteHeader(202)
		during = s.Record()
		s.SetPanic("first")
		s.SetPanic("second")
	}).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("PUT", "/", nil))
	rec := one(t, o)
	if rec.RequestID != "id" || rec.Subject != "who" || rec.TraceID != [16]byte{1} || rec.SpanID != [8]byte{2} || rec.Method != "PUT" || !rec.Refused {
		t.Errorf("%+v", rec)
	}
	if rec.Panic != "first" || rec.Outcome != Panicked {
		t.Errorf("%v %v", rec.Panic, rec.Outcome)
	}
	if during.Sent != 202 || during.RequestID != "id" {
		t.Errorf("on the way: %+v", during)
	}
	if FromContext(context.Background()) != nil {
		t.Error("a state from nowhere")
	}
}

// The context chains on: values and cancellation of the request's own.
func TestContext(t *testing.T) {
	type key struct{}
	o := newRecorder()
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	observedFunc(o, func(_ http.ResponseWriter, r *http.Request) {
		if r.Context().Value(key{}) != "value" {
			t.Error("the value is lost")
		}
		child, stop := context.WithTimeout(r.Context(), time.Hour)
		defer stop()
		cancel()
		<-child.Done()
	}).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(ctx))
	if rec := one(t, o); rec.Outcome != ClientGone {
		t.Errorf("%v", rec.Outcome)
	}
}
