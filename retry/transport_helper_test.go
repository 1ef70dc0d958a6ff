package retry_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ballast-go/ballast/retry"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A body counts how often it is closed, and knows what was left in it.
type body struct {
	io.Reader
	closed atomic.Int32
}

func newBody(s string) *body { return &body{Reader: strings.NewReader(s)} }

func (b *body) Close() error {
	b.closed.Add(1)
	return nil
}

// A backend is a base that answers with each status in turn, and with the last for
// ever; 0 is an error. Like a Transport, it reads and closes the requests' bodies.
type backend struct {
	statuses []int
	header   http.Header // of every answer

	mu       sync.Mutex
	requests []*http.Request
	bodies   []string // that were sent
	answers  []*body
}

var errRefused = errors.New("connection refused")

func (b *backend) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := ""
	if r.Body != nil {
		data, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return nil, err
		}
		sent = string(data)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests = append(b.requests, r)
	b.bodies = append(b.bodies, sent)
	status := b.statuses[min(len(b.requests), len(b.statuses))-1]
	if status == 0 {
		return nil, errRefused
	}
	answer := newBody("answer")
	b.answers = append(b.answers, answer)
	return &http.Response{StatusCode: status, Header: b.header.Clone(), Body: answer, Request: r}, nil
}

func (b *backend) calls() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.requests)
}

// request makes one without a GetBody if body is not nil.
func request(t testing.TB, ctx context.Context, method string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, "http://backend.test/", body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// quick is a Retrier that does not wait, and has all the budget it needs.
func quick(t testing.TB, attempts int) *retry.Retrier {
	t.Helper()
	return newRetrier(t, retry.Config{MaxAttempts: attempts, Backoff: every(0), Budget: newBudget(t, 1, 1000)})
}

// serve starts a server that counts its connections, and a client's base for it.
func serve(t testing.TB, h http.Handler) (url string, base *http.Transport, conns *atomic.Int32) {
	t.Helper()
	conns = new(atomic.Int32)
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	base = &http.Transport{DisableCompression: true}
	t.Cleanup(base.CloseIdleConnections)
	return srv.URL, base, conns
}

// get makes a request to url, and reads the answer.
func get(t testing.TB, rt http.RoundTripper, ctx context.Context, method, url string) (*http.Response, string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := rt.RoundTrip(r)
	if err != nil {
		return nil, "", err
	}
	data, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	return resp, string(data), err
}

// within fails if c is not closed in time, which is a safety net, not a measurement.
func within(t testing.TB, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(20 * time.Second):
		t.Fatal("never: " + what)
	}
}
