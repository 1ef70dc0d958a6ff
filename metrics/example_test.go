package metrics_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/ballast-go/ballast/metrics"
	"github.com/prometheus/client_golang/prometheus"
)

// show sends one request for each path and prints the samples named name.
func show(m *metrics.Metrics, h http.Handler, name string, paths ...string) {
	for _, path := range paths {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, name) {
			fmt.Print(line)
		}
	}
}

// A service counts its requests and serves the page beside its own answers.
func Example() {
	m, err := metrics.New(metrics.Config{})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.Handler())
	mux.HandleFunc("GET /models/{id}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, r.PathValue("id"))
	})
	handler := metrics.Middleware(m, metrics.MiddlewareConfig{})(mux)

	show(m, handler, "http_requests_total", "/models/a", "/models/b", "/wp-login.php")
	// Output:
	// http_requests_total{endpoint="/models/{id}",method="GET",status="200"} 2
	// http_requests_total{endpoint="unmatched",method="GET",status="404"} 1
}

// In a service that has Prometheus metrics already, they share its registry.
func ExampleNew() {
	registry := prometheus.NewRegistry()
	m, err := metrics.New(metrics.Config{Registerer: registry, MaxSeries: 200})
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("GET /metrics", m.Handler()) // or the page that serves registry
}

// A model is registered once; its errors have names that the program chooses.
func ExampleModel() {
	m, err := metrics.New(metrics.Config{})
	if err != nil {
		log.Fatal(err)
	}
	digits, err := m.Model(metrics.ModelInfo{ID: "digits", Version: "1.0.0", Framework: "go"})
	if err != nil {
		log.Fatal(err)
	}
	predict := func(ctx context.Context) {
		start := time.Now()
		defer func() { digits.Observe(time.Since(start)) }()
		if ctx.Err() != nil {
			digits.CountError("cancelled") // never err.Error()
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	predict(ctx)

	show(m, nil, "prediction_errors_total")
	show(m, nil, "model_info")
	// Output:
	// prediction_errors_total{error_type="_other",model_id="digits"} 0
	// prediction_errors_total{error_type="cancelled",model_id="digits"} 1
	// model_info{framework="go",model_id="digits",version="1.0.0"} 1
}

type tenantKey struct{}

// tenant is a middleware that copies the request, as many do.
func tenant(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tenantKey{}, "acme")))
	})
}

// Middleware stands right around the mux, inside of what copies the request.
func ExampleMiddleware() {
	m, err := metrics.New(metrics.Config{})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /predict", func(http.ResponseWriter, *http.Request) {})
	handler := tenant(metrics.Middleware(m, metrics.MiddlewareConfig{})(mux))

	show(m, handler, "http_requests_total", "/predict")
	// Output:
	// http_requests_total{endpoint="/predict",method="GET",status="200"} 1
}

// Here tenant hands a copy of the request to the mux. The mux notes the
// pattern on that copy, which metrics never sees: all is "unmatched".
func ExampleMiddleware_incorrect() {
	m, err := metrics.New(metrics.Config{})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /predict", func(http.ResponseWriter, *http.Request) {})
	handler := metrics.Middleware(m, metrics.MiddlewareConfig{})(tenant(mux))

	show(m, handler, "http_requests_total", "/predict")
	// Output:
	// http_requests_total{endpoint="unmatched",method="GET",status="200"} 1
}
