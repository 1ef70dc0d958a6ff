package reqstate

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"
)

// guarded answers a panic with 500 "sorry" and keeps what handle was told.
func guarded(next http.Handler, got chan<- string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Guard(w, r, next, func(w http.ResponseWriter, _ *http.Request, v any, sent bool) {
			if sent {
				got <- "sent"
				return
			}
			got <- "unsent"
			w.WriteHeader(500)
			io.WriteString(w, "sorry")
		})
	})
}

var errBoom = errors.New("boom")

func panics(http.ResponseWriter, *http.Request) { panic(errBoom) }

func panicsLate(w http.ResponseWriter, _ *http.Request) {
	io.WriteString(w, "part")
	w.(http.Flusher).Flush()
	panic(errBoom)
}

// Guard answers or aborts, and every observer, outside it or inside, records
// the panic.
func TestGuard(t *testing.T) {
	each(t, func(t *testing.T, start func(http.Handler) *site) {
		for name, chain := range map[string]func(outer, inner *recorder, got chan<- string, h http.Handler) http.Handler{
			"outermost": func(outer, inner *recorder, got chan<- string, h http.Handler) http.Handler {
				return guarded(observed(outer, observed(inner, h)), got)
			},
			"between": func(outer, inner *recorder, got chan<- string, h http.Handler) http.Handler {
				return observed(outer, guarded(observed(inner, h), got))
			},
			"innermost": func(outer, inner *recorder, got chan<- string, h http.Handler) http.Handler {
				return observed(outer, observed(inner, guarded(h, got)))
			},
			"behind a copied request": func(outer, inner *recorder, got chan<- string, h http.Handler) http.Handler {
				return observed(outer, observed(inner, copiesRequest(guarded(h, got))))
			},
			"behind a foreign writer": func(outer, inner *recorder, got chan<- string, h http.Handler) http.Handler {
				return observed(outer, keepsFlush(guarded(observed(inner, h), got)))
			},
		} {
			t.Run(name, func(t *testing.T) {
				outer, inner, got := newRecorder(), newRecorder(), make(chan string, 10)
				mux := http.NewServeMux()
				mux.HandleFunc("/early", panics)
				mux.HandleFunc("/late", panicsLate)
				mux.HandleFunc("/abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
				mux.HandleFunc("/exit", func(http.ResponseWriter, *http.Request) { runtime.Goexit() })
				s := start(chain(outer, inner, got, mux))

				resp, body := s.mustGet(t, "/early")
				if resp.StatusCode != 500 || body != "sorry" || <-got != "unsent" {
					t.Errorf("the client got %d %q", resp.StatusCode, body)
				}
				for _, o := range []*recorder{outer, inner} {
					rec := one(t, o)
					want(t, rec, 500, 500, Panicked, 5)
					if rec.Panic != errBoom || rec.Route != "/early" {
						t.Errorf("%v at %q", rec.Panic, rec.Route)
					}
				}

				if resp, body, err := s.get(t, "/late"); err == nil {
					t.Errorf("a panic after a flush became the complete answer %d %q", resp.StatusCode, body)
				}
				if <-got != "sent" {
					t.Error("Guard missed that the header was sent")
				}
				for _, o := range []*recorder{outer, inner} {
					want(t, one(t, o), 500, 200, Panicked, 4)
				}

				for _, path := range []string{"/abort", "/exit"} {
					if _, _, err := s.get(t, path); err == nil {
						t.Errorf("%s became an answer", path)
					}
					for _, o := range []*recorder{outer, inner} {
						want(t, one(t, o), 500, 0, Aborted, 0)
					}
				}
				if len(got) != 0 {
					t.Error("an abort was handled as a panic")
				}
			})
		}
	})
}

// keepsFlush wraps the writer, but for Flush.
func keepsFlush(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(struct {
			foreign
			http.Flusher
		}{foreign{w}, w.(http.Flusher)}, r)
	})
}

func TestGuardAlone(t *testing.T) {
	each(t, func(t *testing.T, start func(http.Handler) *site) {
		got := make(chan string, 10)
		s := start(guarded(guarded(http.HandlerFunc(panics), got), got))
		if resp, body := s.mustGet(t, "/"); resp.StatusCode != 500 || body != "sorry" {
			t.Errorf("got %d %q", resp.StatusCode, body)
		}
		if len(got) != 1 {
			t.Errorf("handled %d times", len(got))
		}
	})
}

// What http.TimeoutHandler holds back counts as sent for the Guard inside it:
// its answer may not be glued to the part that the handler wrote.
func TestGuardInsideTimeoutHandler(t *testing.T) {
	each(t, func(t *testing.T, start func(http.Handler) *site) {
		o, got := newRecorder(), make(chan string, 10)
		s := start(observed(o, http.TimeoutHandler(guarded(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "part")
			panic(errBoom)
		}), got), time.Hour, "")))
		if resp, body, err := s.get(t, "/"); err == nil {
			t.Errorf("got %d %q", resp.StatusCode, body)
		}
		if <-got != "sent" {
			t.Error("Guard missed the buffered part")
		}
		want(t, one(t, o), 500, 0, Panicked, 0)
	})
}

// A handle that panics itself is passed on, and accounted all the same.
func TestGuardWithABrokenHandle(t *testing.T) {
	o := newRecorder()
	defer func() {
		if v := recover(); v != "broken" {
			t.Errorf("recovered %v", v)
		}
		want(t, one(t, o), 500, 0, Panicked, 0)
	}()
	Guard(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), observedFunc(o, panics),
		func(http.ResponseWriter, *http.Request, any, bool) { panic("broken") })
}
