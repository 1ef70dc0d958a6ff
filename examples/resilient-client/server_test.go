package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ballast-go/ballast/breaker"
	"github.com/ballast-go/ballast/logging"
	"github.com/ballast-go/ballast/metrics"
	"github.com/ballast-go/ballast/ratelimit/concurrency"
	"github.com/ballast-go/ballast/retry"
)

// A chain is all middlewares that share a request's state, around a handler, and
// what they have seen.
type chain struct {
	breaker *breaker.Breaker
	permits *concurrency.Limiter
	metrics *metrics.Metrics
	log     bytes.Buffer
	writers []http.ResponseWriter // that there are between them
	handler http.Handler
}

// newChain is outer → logging → metrics → concurrency → breaker → inner, and with
// breakerOutside the last two change places.
func newChain(t *testing.T, breakerOutside bool, inner http.HandlerFunc) *chain {
	t.Helper()
	c := &chain{breaker: newBreaker(t, 2)}
	l, err1 := logging.New(logging.Config{Output: &c.log})
	m, err2 := metrics.New(metrics.Config{})
	permits, err3 := concurrency.New(concurrency.Config{Max: 1})
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	c.metrics, c.permits = m, permits
	layers := []func(http.Handler) http.Handler{
		breaker.Middleware(c.breaker, breaker.MiddlewareConfig{}),
		concurrency.Middleware(permits, concurrency.MiddlewareConfig{}),
	}
	if breakerOutside {
		slices.Reverse(layers)
	}
	layers = append(layers, metrics.Middleware(m, metrics.MiddlewareConfig{}), logging.Middleware(l, logging.MiddlewareConfig{}))
	c.handler = c.watched(inner)
	for _, layer := range layers {
		c.handler = c.watched(layer(c.handler))
	}
	return c
}

// watched notes the ResponseWriter that next gets.
func (c *chain) watched(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.writers = append(c.writers, w)
		next.ServeHTTP(w, r)
	})
}

// serve handles one request, and returns the answer, and the status in each
// record and series that came of it.
func (c *chain) serve(t *testing.T) (answer *httptest.ResponseRecorder, logged []float64, counted []string) {
	t.Helper()
	c.writers = nil
	c.log.Reset()
	before := c.series(t)
	answer = httptest.NewRecorder()
	func() {
		defer func() { _ = recover() }()
		c.handler.ServeHTTP(answer, httptest.NewRequest("GET", "/", nil))
	}()
	for d := json.NewDecoder(&c.log); ; {
		var record map[string]any
		if err := d.Decode(&record); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if status, ok := record["status"].(float64); ok {
			logged = append(logged, status)
		}
	}
	for _, series := range c.series(t) {
		if !slices.Contains(before, series) {
			counted = append(counted, series)
		}
	}
	return answer, logged, counted
}

// series are the lines of requests that were counted.
func (c *chain) series(t *testing.T) (lines []string) {
	page := httptest.NewRecorder()
	c.metrics.Handler().ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(page.Body.String()) {
		if strings.HasPrefix(line, "http_requests_total{") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// All middlewares agree on the status of a request, count it once, and wrap its
// ResponseWriter once, whichever of them answers.
func TestOneState(t *testing.T) {
	for _, breakerOutside := range []bool{false, true} {
		status := 200
		c := newChain(t, breakerOutside, func(w http.ResponseWriter, _ *http.Request) {
			if status == 0 {
				panic("broken")
			}
			w.WriteHeader(status)
		})
		check := func(what string, status float64, line string, wrapped int) {
			t.Helper()
			_, logged, counted := c.serve(t)
			if len(logged) != 1 || logged[0] != status {
				t.Errorf("%s: the log has the statuses %v, want %v", what, logged, status)
			}
			if len(counted) != 1 || counted[0] != line {
				t.Errorf("%s: counted as %v, want %s", what, counted, line)
			}
			for _, w := range c.writers[1:] {
				if w == c.writers[0] || w != c.writers[1] {
					t.Errorf("%s: the ResponseWriter is not wrapped once: %T", what, w)
				}
			}
			if n := len(c.writers); n != wrapped {
				t.Errorf("%s: %d handlers were reached, want %d", what, n, wrapped)
			}
		}
		const whole = 5 // all four middlewares, and the handler
		check("success", 200, `http_requests_total{endpoint="unmatched",method="GET",reason="",status="200"} 1`, whole)
		status = 500
		check("failure", 500, `http_requests_total{endpoint="unmatched",method="GET",reason="",status="500"} 1`, whole)
		status = 0
		check("panic", 500, `http_requests_total{endpoint="unmatched",method="GET",reason="",status="500"} 2`, whole)
		refuser := 4 // it is the last that is reached
		if breakerOutside {
			refuser = 3
		}
		check("refusal", 503, `http_requests_total{endpoint="unmatched",method="GET",reason="breaker-open",status="503"} 1`, refuser)
		if s := c.breaker.Stats(); s.Successes != 1 || s.Failures != 2 || s.Rejected != 1 || s.State != breaker.Open {
			t.Errorf("breaker: %+v", s)
		}
		if s := c.permits.Stats(); s.InFlight != 0 {
			t.Errorf("%d permits were not given back", s.InFlight)
		}
	}
}

// What another middleware refuses further in is not the service's failure.
func TestRefusedFurtherIn(t *testing.T) {
	c := newChain(t, true, func(http.ResponseWriter, *http.Request) { t.Error("it was let through") })
	permit, err := c.permits.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer permit.Release()
	for range 5 {
		if answer, _, _ := c.serve(t); answer.Code != 503 {
			t.Errorf("status %d", answer.Code)
		}
	}
	if s := c.breaker.Stats(); s.Ignored != 5 || s.State != breaker.Closed {
		t.Errorf("%+v", s)
	}
}

// A client hears when to come back, and heeds it.
func TestRefusalIsTold(t *testing.T) {
	c := newChain(t, false, func(http.ResponseWriter, *http.Request) {})
	for range 2 {
		_ = c.breaker.Do(t.Context(), func(context.Context) error { return errBroken })
	}
	server := httptest.NewServer(c.handler)
	defer server.Close()

	// The breaker is open for half a minute at least, so that there is no time for
	// another attempt, and the answer is the client's at once.
	r := newRetrier(t, 3)
	client := &http.Client{Transport: retry.NewTransport(server.Client().Transport, r, retry.TransportConfig{})}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "GET", server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if s := r.Stats(); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || s.OutOfTime != 1 || s.Retries != 0 {
		t.Errorf("status %d, header %v, %+v", resp.StatusCode, resp.Header, s)
	}
}

// Attempts do not multiply down a chain of servers: the second one's retrier knows
// that it serves a retry.
func TestNestedRetries(t *testing.T) {
	last, reached := serve(t, 503)
	inner := newRetrier(t, 3)
	between := &http.Client{Transport: retry.NewTransport(http.DefaultTransport, inner, retry.TransportConfig{})}
	front := httptest.NewServer(retry.Middleware(retry.MiddlewareConfig{})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, err := http.NewRequestWithContext(r.Context(), "GET", last, nil)
		if err != nil {
			t.Error(err)
			return
		}
		resp, err := between.Do(request)
		if err != nil {
			t.Error(err)
			return
		}
		_ = resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
	})))
	defer front.Close()
	outer := newRetrier(t, 3)
	client := &http.Client{Transport: retry.NewTransport(front.Client().Transport, outer, retry.TransportConfig{})}
	if status, err := get(t, client, front.URL); err != nil || status != 503 {
		t.Errorf("%d %v", status, err)
	}
	if n := reached.Load(); n != 5 || inner.Stats().Nested != 2 {
		t.Errorf("%d requests reached the last server, want 3 of the first attempt and one of each other: %+v", n, inner.Stats())
	}
}
