package ratelimit_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/ballast-go/ballast/ratelimit"
	"golang.org/x/time/rate"
)

// Two requests an hour for each client.
func ExampleMiddleware() {
	limiter, err := ratelimit.New(ratelimit.Config{Limit: ratelimit.PerHour(2)})
	if err != nil {
		fmt.Println(err)
		return
	}
	limit := ratelimit.Middleware(limiter, ratelimit.MiddlewareConfig{Key: ratelimit.ByClientIP(nil)})
	handler := limit(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "served\n")
	}))

	for range 3 {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		fmt.Println(w.Code, w.Header().Get("RateLimit"))
	}
	// Output:
	// 200 "default";r=1;t=1800
	// 200 "default";r=0;t=1800
	// 429 "default";r=0;t=1800
}

// The pitfall: X-Forwarded-For is what the client says. A key made of it lets
// anybody have as many budgets as they like.
func ExampleMiddleware_incorrect() {
	served := func(key ratelimit.KeyFunc) (n int) {
		limiter, err := ratelimit.New(ratelimit.Config{Limit: ratelimit.PerHour(2)})
		if err != nil {
			return 0
		}
		handler := ratelimit.Middleware(limiter, ratelimit.MiddlewareConfig{Key: key})(http.NotFoundHandler())
		for i := range 100 { // one client, with 100 inventions
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i))
			w := httptest.NewRecorder()
			if handler.ServeHTTP(w, r); w.Code != http.StatusTooManyRequests {
				n++
			}
		}
		return n
	}

	fmt.Println("by X-Forwarded-For:", served(func(r *http.Request) string { return r.Header.Get("X-Forwarded-For") }))
	fmt.Println("by ByClientIP:", served(ratelimit.ByClientIP(nil)))
	// Output:
	// by X-Forwarded-For: 100
	// by ByClientIP: 2
}

// Who the client is, behind a load balancer at 10.0.0.0/28.
func ExampleByClientIP() {
	key := ratelimit.ByClientIP(ratelimit.TrustedProxies{netip.MustParsePrefix("10.0.0.0/28")})

	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "10.0.0.7:41234" // the load balancer called
	r.Header.Set("X-Forwarded-For", "1.1.1.1, 192.0.2.9")
	fmt.Println(key(r)) // what it wrote, and not what the client wrote before

	r.Header.Set("X-Forwarded-For", "2001:db8:1:2:3:4:5:6")
	fmt.Println(key(r))

	r.RemoteAddr = "198.51.100.1:50000" // somebody went past it
	fmt.Println(key(r))
	// Output:
	// 192.0.2.9
	// 2001:db8:1:2::/64
	// 198.51.100.1
}

// A budget for each route of the service, shared by all clients.
func ExampleByRoute() {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/models/{name}", func(http.ResponseWriter, *http.Request) {})
	key := ratelimit.ByRoute(mux)
	fmt.Println(key(httptest.NewRequest("POST", "/v1/models/llama", nil)))
	fmt.Println(key(httptest.NewRequest("POST", "/v1/models/mistral", nil)))
	fmt.Println(key(httptest.NewRequest("GET", "/robots.txt", nil)))
	// Output:
	// POST /v1/models/{name}
	// POST /v1/models/{name}
	// unmatched
}

// A client that calls at most ten times a second, and a host that asks for
// time gets it.
func ExampleNewTransport() {
	var calls atomic.Int32
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer upstream.Close()

	client := &http.Client{
		Transport: ratelimit.NewTransport(http.DefaultTransport, rate.NewLimiter(10, 1), ratelimit.TransportConfig{}),
		Timeout:   5 * time.Second,
	}
	for range 3 {
		resp, err := client.Get(upstream.URL)
		if err != nil {
			fmt.Println("not called: the wait is longer than the timeout")
			continue
		}
		fmt.Println(resp.StatusCode)
		_ = resp.Body.Close()
	}
	fmt.Println("calls:", calls.Load())
	// Output:
	// 503
	// not called: the wait is longer than the timeout
	// not called: the wait is longer than the timeout
	// calls: 1
}
