package breaker_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/ballast-go/ballast/breaker"
)

// A server whose model has died turns requests away at once, so that their senders
// go elsewhere, and finds out by itself when it is back.
func ExampleMiddleware() {
	b, err := breaker.New(breaker.Config{Name: "model", ConsecutiveFailures: 3, SlowAfter: 10 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/completions", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "CUDA error: device-side assert", http.StatusInternalServerError)
	})
	handler := breaker.Middleware(b, breaker.MiddlewareConfig{})(mux)

	for range 4 {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("POST", "/v1/completions", http.NoBody))
		fmt.Println(w.Code, w.Header().Get("Retry-After") != "")
	}
	// Output:
	// 500 false
	// 500 false
	// 500 false
	// 503 true
}

// One breaker in front of everything: whoever breaks one route takes all of them
// down. Give each its own, see the example Pick.
func ExampleMiddleware_incorrect() {
	b, err := breaker.New(breaker.Config{ConsecutiveFailures: 3})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/images", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	mux.HandleFunc("/completions", func(http.ResponseWriter, *http.Request) {})
	handler := breaker.Middleware(b, breaker.MiddlewareConfig{})(mux) // incorrect

	for _, path := range []string{"/images", "/images", "/images", "/completions"} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		fmt.Println(path, w.Code)
	}
	// Output:
	// /images 500
	// /images 500
	// /images 500
	// /completions 503
}

// A breaker for each route, by the pattern that the mux will choose, and none for
// what it does not know. The path itself would be for clients to make up.
func ExampleMiddleware_pick() {
	routes, err := breaker.NewGroup(breaker.GroupConfig[string]{Breaker: breaker.Config{ConsecutiveFailures: 3}})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/images", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	mux.HandleFunc("/completions", func(http.ResponseWriter, *http.Request) {})
	handler := breaker.Middleware(nil, breaker.MiddlewareConfig{
		Pick: func(r *http.Request) *breaker.Breaker {
			_, pattern := mux.Handler(r)
			if pattern == "" {
				return nil
			}
			return routes.Get(pattern)
		},
	})(mux)

	for _, path := range []string{"/images", "/images", "/images", "/images", "/completions", "/favicon.ico"} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		fmt.Println(path, w.Code)
	}
	// Output:
	// /images 500
	// /images 500
	// /images 500
	// /images 503
	// /completions 200
	// /favicon.ico 404
}
