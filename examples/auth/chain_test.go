package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/breaker"
	"github.com/ballast-go/ballast/logging"
	"github.com/ballast-go/ballast/metrics"
	"github.com/ballast-go/ballast/ratelimit"
)

// A journal is where a logger of these tests writes.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

// records returns what has been logged with message, and forgets all.
func (j *journal) records(t *testing.T, message string) (recs []map[string]any) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range strings.Lines(j.buf.String()) {
		var rec map[string]any
		if err := json.Unmarshal([]byte(line), &rec); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if rec["message"] == message {
			recs = append(recs, rec)
		}
	}
	j.buf.Reset()
	return recs
}

// A chain is all that stands around a handler.
type chain struct {
	journal journal
	log     *logging.Logger
	metrics *metrics.Metrics
	breaker *breaker.Breaker
	limit   *ratelimit.Keyed
	ended   chan struct{} // of each request, when the outermost has been left
}

func newChain(t *testing.T) *chain {
	t.Helper()
	c := &chain{ended: make(chan struct{}, 100)}
	var errs [4]error
	c.log, errs[0] = logging.New(logging.Config{Output: &c.journal})
	c.metrics, errs[1] = metrics.New(metrics.Config{})
	c.breaker, errs[2] = breaker.New(breaker.Config{Name: "model"})
	c.limit, errs[3] = ratelimit.New(ratelimit.Config{Limit: ratelimit.PerHour(3), MaxKeys: 100})
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	return c
}

// around builds the chain of the named middlewares, the outermost first.
func (c *chain) around(h http.Handler, identify func(http.Handler) http.Handler, order string) http.Handler {
	names := strings.Fields(order)
	for i := len(names) - 1; i >= 0; i-- {
		h = map[string]func(http.Handler) http.Handler{
			"recover": logging.Recover(c.log),
			"logging": logging.Middleware(c.log, logging.MiddlewareConfig{}),
			"metrics": metrics.Middleware(c.metrics, metrics.MiddlewareConfig{}),
			"auth":    identify,
			"ratelimit": ratelimit.Middleware(c.limit, ratelimit.MiddlewareConfig{Key: func(r *http.Request) string {
				p, _ := auth.PrincipalFromContext(r.Context())
				if p == nil {
					return ""
				}
				return p.Subject
			}}),
			"breaker": breaker.Middleware(c.breaker, breaker.MiddlewareConfig{}),
			"timeout": func(next http.Handler) http.Handler { return http.TimeoutHandler(next, time.Minute, "late") },
			"strip":   func(next http.Handler) http.Handler { return http.StripPrefix("/api", next) },
			"mux": func(next http.Handler) http.Handler {
				mux := http.NewServeMux()
				mux.Handle("/api/", next)
				return mux
			},
			"foreign": foreign,
		}[names[i]](h)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { c.ended <- struct{}{} }()
		h.ServeHTTP(w, r)
	})
}

// foreign adds a value to the context, as many middlewares do.
func foreign(next http.Handler) http.Handler {
	type key struct{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, 1)))
	})
}

// status is what metrics counted, such as "401", of all requests: one each.
func (c *chain) statuses() string {
	w := httptest.NewRecorder()
	c.metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	var found []string
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "http_requests_total") {
			_, status, _ := strings.Cut(line, `status="`)
			found = append(found, status[:3])
		}
	}
	return strings.Join(found, " ")
}

// server serves h over HTTP/1.1, HTTP/1.1 and HTTP/2 with TLS, or HTTP/2 without.
func server(t *testing.T, proto string, h http.Handler) *httptest.Server {
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	switch proto {
	case "h1":
		srv.Start()
	case "h2":
		srv.EnableHTTP2 = true
		srv.StartTLS()
	case "h2c":
		srv.Config.Protocols = new(http.Protocols)
		srv.Config.Protocols.SetUnencryptedHTTP2(true)
		srv.Start()
		tr := srv.Client().Transport.(*http.Transport)
		tr.Protocols = srv.Config.Protocols
	}
	t.Cleanup(srv.Close)
	return srv
}

// get returns the status, or 0 for a broken connection, and what came of the body.
func get(t *testing.T, srv *httptest.Server, path, token string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := srv.Client().Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, string(body)
	}
	return res.StatusCode, string(body)
}

// soon is how long the credentials of these tests are good.
const soon = 100 * time.Millisecond

// byName knows everybody but "bad", and "brief" not for long; "panic", "abort" and
// "exit" do it.
var byName = auth.AuthenticatorFunc(func(_ context.Context, c auth.Credentials) (*auth.Principal, error) {
	p := &auth.Principal{Subject: c.Token, Method: auth.MethodJWT}
	switch c.Token {
	case "":
		return nil, auth.ErrNoCredential
	case "bad":
		return nil, auth.ErrInvalid
	case "down":
		return nil, auth.ErrUnavailable
	case "brief":
		p.ExpiresAt = time.Now().Add(soon)
	case "panic":
		panic("broken")
	case "abort":
		panic(http.ErrAbortHandler)
	case "exit":
		runtime.Goexit()
	}
	return p, nil
})

const (
	designed = "recover logging metrics auth ratelimit breaker"
	reversed = "breaker ratelimit auth metrics logging recover"
)

// Log, metrics and client agree, in the order of the documentation and in others;
// a 401 or a 403 is no failure to a breaker, wherever that stands.
func TestChainStatuses(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/forbidden" {
			auth.WriteError(w, r, &auth.ForbiddenError{})
			return
		}
		fmt.Fprint(w, "served")
	})
	for _, order := range []string{designed, "recover logging metrics breaker auth ratelimit", "recover logging foreign auth foreign breaker metrics"} {
		for _, proto := range []string{"h1", "h2", "h2c"} {
			for _, tt := range []struct {
				token, path string
				status      int
				failure     bool // to a breaker outside of auth
			}{
				{"", "/", 401, false},
				{"bad", "/", 401, false},
				{"alice", "/", 200, false},
				{"alice", "/forbidden", 403, false},
				{"down", "/", 503, true},
				{"panic", "/", 500, true},
				{"abort", "/", 0, true},
				{"exit", "/", 0, true},
			} {
				c := newChain(t)
				srv := server(t, proto, c.around(handler, auth.Middleware(byName, auth.MiddlewareConfig{}), order))
				status, _ := get(t, srv, tt.path, tt.token)
				<-c.ended
				want := tt.status
				if want == 0 {
					want = 500
				}
				recs := c.journal.records(t, "request")
				if status != tt.status || len(recs) != 1 || recs[0]["status"] != float64(want) {
					t.Errorf("%s, %s: %q to %s: the client saw %d, logged %v", order, proto, tt.token, tt.path, status, recs)
				}
				subject, _ := recs[0]["subject"].(string)
				if (subject == "alice") != (tt.token == "alice") {
					t.Errorf("%s: logged subject %q of %q", order, subject, tt.token)
				}
				if got := c.statuses(); strings.Index(order, "metrics") < strings.Index(order, "auth") && got != fmt.Sprint(want) {
					t.Errorf("%s: counted %q, want %d", order, got, want)
				}
				outside := strings.Index(order, "breaker") < strings.Index(order, "auth")
				if s := c.breaker.Stats(); s.Failures != 0 && !(outside && tt.failure) {
					t.Errorf("%s: %q to %s is a failure: %+v", order, tt.token, tt.path, s)
				}
			}
		}
	}
}

// A stream that a reverse proxy passes on is cut when the caller's credential ends:
// nothing that the service, or what is behind it, has done wrong.
func TestChainProxyEndsAtExpiry(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/silent" {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: 1\n\n")
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	}))
	t.Cleanup(upstream.Close) // after the parallel tests
	target, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, proto := range []string{"h1", "h2", "h2c"} {
		for _, order := range []string{
			designed, reversed, "logging metrics breaker auth", "logging foreign auth foreign breaker metrics", "auth breaker", "breaker auth",
			"logging metrics auth mux strip breaker", "logging auth breaker timeout", "logging breaker timeout auth",
		} {
			for _, path := range []string{"/api/stream", "/api/silent"} {
				t.Run(order+" "+proto+path, func(t *testing.T) {
					t.Parallel()
					testExpiringProxy(t, target, order, proto, path)
				})
			}
		}
	}
}

func testExpiringProxy(t *testing.T, target *url.URL, order, proto, path string) {
	c := newChain(t)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	rewrite := http.StripPrefix("/api", proxy)
	if strings.Contains(order, "strip") {
		rewrite = proxy
	}
	srv := server(t, proto, c.around(rewrite, auth.Middleware(byName, auth.MiddlewareConfig{EndAtExpiry: true}), order))
	status, body := get(t, srv, path, "brief")
	<-c.ended
	if status == 200 {
		t.Errorf("a whole answer %q", body)
	}
	if s := c.breaker.Stats(); s.Failures != 0 || s.Ignored != 1 {
		t.Errorf("to the breaker: %+v", s)
	}
	for _, rec := range c.journal.records(t, "request") {
		want := float64(status)
		if status == 0 {
			want = 401
		}
		if rec["outcome"] != "expired" || rec["status"] != want {
			t.Errorf("the client saw %d %q, logged %v %v", status, body, rec["outcome"], rec["status"])
		}
	}
}
