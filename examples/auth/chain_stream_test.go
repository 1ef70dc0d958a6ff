package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/logging"
)

// A WebSocket's handler hears of the end of the credential, too, and the log says
// that the connection was taken over, and by whom.
func TestChainWebSocketEndsAtExpiry(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_ = rw.Flush()
		<-r.Context().Done()
		if context.Cause(r.Context()) != auth.ErrExpired {
			t.Error(context.Cause(r.Context()))
		}
		_, _ = rw.WriteString("bye")
		_ = rw.Flush()
	})
	for _, order := range []string{designed, reversed} {
		c := newChain(t)
		srv := server(t, "h1", c.around(handler, auth.Middleware(byName, auth.MiddlewareConfig{EndAtExpiry: true}), order))
		conn, err := net.Dial("tcp", strings.TrimPrefix(srv.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAuthorization: Bearer brief\r\n\r\n")
		in := bufio.NewReader(conn)
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode != 101 {
			t.Fatalf("%s: %v, %v", order, res, err)
		}
		if rest, err := io.ReadAll(in); string(rest) != "bye" || err != nil {
			t.Errorf("%s: %q, %v", order, rest, err)
		}
		_ = conn.Close()
		<-c.ended
		recs := c.journal.records(t, "request")
		if len(recs) != 1 || recs[0]["outcome"] != "hijacked" || recs[0]["status"] != 101.0 || c.breaker.Stats().Failures != 0 {
			t.Errorf("%s: %v, %+v", order, recs, c.breaker.Stats())
		}
	}
}

// Goroutines that outlive their request know whose it was, while the server goes on
// with others' on the same connection. (Run with -race.)
func TestChainOutlived(t *testing.T) {
	var wg sync.WaitGroup
	release := make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, want := r.Context(), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		for range 4 {
			wg.Go(func() {
				for i := range 100 {
					if i == 50 {
						<-release
					}
					if p, ok := auth.PrincipalFromContext(ctx); !ok || p.Subject != want {
						t.Errorf("%v in a request of %q", p, want)
					}
				}
			})
		}
		fmt.Fprint(w, want)
	})
	for _, cfg := range []auth.MiddlewareConfig{{}, {EndAtExpiry: true}} {
		for _, order := range []string{designed, reversed, "auth", "logging timeout auth", "logging auth timeout"} {
			c := newChain(t)
			srv := server(t, "h1", c.around(handler, auth.Middleware(byName, cfg), order))
			for _, name := range []string{"alice", "bob", "carol", "brief"} {
				if _, body := get(t, srv, "/", name); body != name && !strings.Contains(order, "ratelimit") {
					t.Errorf("%s: %q", order, body)
				}
			}
		}
	}
	close(release)
	wg.Wait()
}

// A request that a handler makes inside the process, with other credentials and an
// account of its own, is logged as its own and changes nothing of the outer one.
func TestChainSubRequest(t *testing.T) {
	c := newChain(t)
	identify := auth.Middleware(byName, auth.MiddlewareConfig{EndAtExpiry: true})
	inner := c.around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := auth.PrincipalFromContext(r.Context())
		fmt.Fprint(w, p.Subject)
		if p.Subject == "brief" {
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		}
	}), identify, "logging auth breaker")
	outer := c.around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"bob", "brief"} {
			sub := httptest.NewRequestWithContext(logging.WithoutState(r.Context()), "GET", "/", nil)
			sub.Header.Set("Authorization", "Bearer "+name)
			answer := httptest.NewRecorder()
			func() {
				defer func() { _ = recover() }()
				inner.ServeHTTP(answer, sub)
			}()
			if p, _ := auth.PrincipalFromContext(r.Context()); answer.Body.String() != name || p.Subject != "alice" {
				t.Errorf("%q, inside of %v's", answer.Body, p)
			}
		}
		w.WriteHeader(http.StatusBadGateway) // its own failure: nobody's credential has ended here
	}), identify, "logging auth breaker")
	status, _ := get(t, server(t, "h1", outer), "/", "alice")
	var got []string
	for _, rec := range c.journal.records(t, "request") {
		got = append(got, fmt.Sprint(rec["subject"], " ", rec["outcome"], " ", rec["status"]))
	}
	if s := fmt.Sprint(status, got); s != "502 [bob complete 200 brief expired 401 alice complete 502]" {
		t.Error(s)
	}
	if s := c.breaker.Stats(); s.Failures != 1 || s.Ignored != 1 || s.Successes != 1 {
		t.Errorf("%+v", s)
	}
}

// With http.TimeoutHandler on either side of auth the client, the log and metrics
// say the same.
func TestChainTimeouts(t *testing.T) {
	hung := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	short := func(next http.Handler) http.Handler { return http.TimeoutHandler(next, time.Millisecond, "late") }
	identify := auth.Middleware(byName, auth.MiddlewareConfig{EndAtExpiry: true})
	for name, h := range map[string]func(*chain) http.Handler{
		"inside":  func(c *chain) http.Handler { return c.around(short(hung), identify, "logging metrics auth") },
		"outside": func(c *chain) http.Handler { return c.around(short(identify(hung)), identify, "logging metrics") },
	} {
		c := newChain(t)
		status, _ := get(t, server(t, "h1", h(c)), "/", "alice")
		<-c.ended
		if recs := c.journal.records(t, "request"); status != 503 || len(recs) != 1 || recs[0]["status"] != 503.0 || c.statuses() != "503" {
			t.Errorf("%s: the client saw %d, logged %v, counted %s", name, status, recs, c.statuses())
		}
	}
}
