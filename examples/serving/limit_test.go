package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// from sends a request as the peer with the given address would.
func from(h http.Handler, peer, method, path string, forwarded ...string) *http.Response {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, path, nil)
	r.RemoteAddr = net.JoinHostPort(peer, "1234")
	r.Header["X-Forwarded-For"] = forwarded
	h.ServeHTTP(w, r)
	return w.Result()
}

// A client has 100 requests a minute, and is told so with each. Others have
// theirs, and probes and scrapes none.
func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newTestService(t)
		h := s.handler()
		for i := range 100 {
			resp := from(h, "192.0.2.1", "GET", "/models", fmt.Sprint("198.51.100.", i)) // which nobody trusts
			if want := fmt.Sprintf(`"default";r=%d;`, 99-i); resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("RateLimit"), want) {
				t.Fatalf("request %d: %d %v", i, resp.StatusCode, resp.Header)
			}
		}
		for _, path := range []string{"GET /models", "POST /predict", "GET /", "GET /models/digits-small"} {
			method, path, _ := strings.Cut(path, " ")
			resp := from(h, "192.0.2.1", method, path)
			after, err := strconv.Atoi(resp.Header.Get("Retry-After"))
			if body := read(t, resp); resp.StatusCode != 429 || resp.Header.Get("Content-Type") != problemJSON || !strings.Contains(body, `"reason":"rate-limited"`) || err != nil || after < 1 || after > 3 {
				t.Errorf("%s: %d %v %s", path, resp.StatusCode, resp.Header, body)
			}
			if got := resp.Header.Get("RateLimit-Policy"); got != `"default";q=100;w=60` {
				t.Errorf("RateLimit-Policy: %s", got)
			}
		}
		if resp := from(h, "192.0.2.2", "GET", "/models"); resp.StatusCode != 200 {
			t.Errorf("another client gets %d", resp.StatusCode)
		}
		for range 200 {
			for _, path := range []string{"/livez", "/readyz", "/metrics", "/nowhere"} {
				if resp := from(h, "192.0.2.1", "GET", path); resp.StatusCode == 429 || resp.Header.Get("RateLimit") != "" {
					t.Fatalf("%s: %d %v", path, resp.StatusCode, resp.Header)
				}
			}
		}
		page := read(t, from(h, "192.0.2.1", "GET", "/metrics"))
		for name, want := range map[string]float64{
			`http_requests_total{endpoint="/predict",method="POST",reason="rate-limited",status="429"}`: 1,
			`ratelimit_calls_total{limiter="requests",outcome="denied"}`:                                4,
			`ratelimit_calls_total{limiter="requests",outcome="allowed"}`:                               101,
		} {
			if n := series(t, page, name); n != want {
				t.Errorf("%s is %v, want %v", name, n, want)
			}
		}
		<-time.After(601 * time.Millisecond)
		if resp := from(h, "192.0.2.1", "GET", "/models"); resp.StatusCode != 200 {
			t.Errorf("after a hundredth of a minute it is %d", resp.StatusCode)
		}
	})
}

// Behind a proxy that is trusted a client is whom the proxy names.
func TestRateLimitBehindProxies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := bare(t, "-rate-limit=1", "-trusted-proxies=192.0.2.0/24")
		h := s.handler()
		for i, tt := range []struct {
			peer, client string
			status       int
		}{
			{"192.0.2.1", "198.51.100.1", 200},
			{"192.0.2.2", "198.51.100.1", 429},
			{"192.0.2.2", "a lie, 198.51.100.1", 429},
			{"192.0.2.1", "198.51.100.2", 200},
			{"198.51.100.9", "203.0.113.1", 200},
			{"198.51.100.9", "203.0.113.2", 429},
		} {
			if resp := from(h, tt.peer, "GET", "/", tt.client); resp.StatusCode != tt.status {
				t.Errorf("request %d: %d, want %d", i, resp.StatusCode, tt.status)
			}
		}
	})
}

func TestNoRateLimit(t *testing.T) {
	s, _ := bare(t, "-rate-limit=0", "-redis-url=redis://127.0.0.1:1")
	h := s.handler()
	for range 300 {
		if resp := from(h, "192.0.2.1", "GET", "/"); resp.StatusCode != 200 || resp.Header.Get("RateLimit") != "" {
			t.Fatalf("%d %v", resp.StatusCode, resp.Header)
		}
	}
}
