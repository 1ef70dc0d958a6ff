package retry_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/ballast-go/ballast/retry"
)

// A client whose requests are tried again if they may be. Two of three answers of
// this server are 503.
func ExampleNewTransport() {
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls++; calls%3 != 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Println("attempt", r.Header.Get(retry.AttemptHeader), "is answered")
	}))
	defer server.Close()

	retrier, err := retry.New(retry.Config{Name: "models", PerAttempt: 2 * time.Second, Backoff: retry.FullJitter(time.Millisecond, time.Second)})
	if err != nil {
		panic(err)
	}
	client := &http.Client{Transport: retry.NewTransport(nil, retrier, retry.TransportConfig{})}
	resp, err := client.Get(server.URL)
	if err != nil {
		panic(err)
	}
	_ = resp.Body.Close()
	fmt.Println(resp.StatusCode)
	// Output:
	// attempt 3 is answered
	// 200
}

// http.Client.Timeout is a deadline for all attempts together and the answer's body;
// Config.PerAttempt is for one, until its header. A POST is sent once unless it says
// that it may be sent twice.
func ExampleNewTransport_idempotencyKey() {
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()

	retrier, err := retry.New(retry.Config{Backoff: retry.FullJitter(time.Millisecond, time.Second)})
	if err != nil {
		panic(err)
	}
	client := &http.Client{Transport: retry.NewTransport(nil, retrier, retry.TransportConfig{}), Timeout: 10 * time.Second}
	for _, key := range []string{"", "order-7"} {
		calls = 0
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, server.URL, nil)
		if err != nil {
			panic(err)
		}
		if key != "" {
			req.Header.Set("Idempotency-Key", key)
		}
		resp, err := client.Do(req)
		if err != nil {
			panic(err)
		}
		_ = resp.Body.Close()
		fmt.Printf("key %q: %d calls, status %d\n", key, calls, resp.StatusCode)
	}
	// Output:
	// key "": 1 calls, status 503
	// key "order-7": 3 calls, status 503
}

// A server that heeds what its callers say: how long they wait, and whether they
// retry, so that its own calls to others with the request's context do not.
func ExampleMiddleware() {
	handler := retry.Middleware(retry.MiddlewareConfig{MaxTimeout: time.Minute})(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, limited := r.Context().Deadline()
			fmt.Println("attempt", retry.Attempt(r.Context()), "with a deadline:", limited)
		}))

	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set(retry.AttemptHeader, "2")
	r.Header.Set(retry.TimeoutHeader, "1500")
	handler.ServeHTTP(httptest.NewRecorder(), r)
	// Output: attempt 2 with a deadline: true
}

// The handler's calls must be made with the request's context. With another, its
// retries multiply with those of its caller.
func ExampleMiddleware_incorrect() {
	retrier, err := retry.New(retry.Config{Backoff: retry.FullJitter(time.Millisecond, time.Second)})
	if err != nil {
		panic(err)
	}
	calls := 0
	work := func(context.Context) error {
		calls++
		return fmt.Errorf("down")
	}
	handler := func(detached bool) http.Handler {
		return retry.Middleware(retry.MiddlewareConfig{})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			if detached {
				ctx = context.Background() // WRONG: knows neither the deadline nor the attempt
			}
			_ = retrier.Do(ctx, work)
		}))
	}
	for _, detached := range []bool{false, true} {
		calls = 0
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set(retry.AttemptHeader, "2")
		handler(detached).ServeHTTP(httptest.NewRecorder(), r)
		fmt.Println("detached:", detached, "calls:", calls)
	}
	// Output:
	// detached: false calls: 1
	// detached: true calls: 3
}
