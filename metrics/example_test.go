package metrics_test

import (
	"context"
	"errors"
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
	// http_requests_total{endpoint="/models/{id}",method="GET",reason="",status="200"} 2
	// http_requests_total{endpoint="unmatched",method="GET",reason="",status="404"} 1
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

	show(m, nil, "prediction_errors_total{")
	show(m, nil, "model_info")
	// Output:
	// prediction_errors_total{error_type="_other",model_id="digits"} 0
	// prediction_errors_total{error_type="cancelled",model_id="digits"} 1
	// model_info{framework="go",model_id="digits",version="1.0.0"} 1
}

// Timed counts what a model does and how it fails, whatever way it ends.
func ExampleTimed() {
	m, err := metrics.New(metrics.Config{})
	if err != nil {
		log.Fatal(err)
	}
	digits, err := m.Model(metrics.ModelInfo{ID: "digits"})
	if err != nil {
		log.Fatal(err)
	}
	errShape := errors.New("the input has another shape")
	predict := metrics.Timed(digits, func(_ context.Context, pixels []float64) (int, error) {
		if len(pixels) != 64 {
			return 0, errShape
		}
		return 7, nil
	}, func(err error) string {
		if errors.Is(err, errShape) {
			return "" // the client's
		}
		return "backend"
	})
	fmt.Println(predict(context.Background(), make([]float64, 64)))
	fmt.Println(predict(context.Background(), nil))

	show(m, nil, "prediction_errors_total{")
	show(m, nil, "model_inference_duration_seconds_count")
	// Output:
	// 7 <nil>
	// 0 the input has another shape
	// prediction_errors_total{error_type="_other",model_id="digits"} 0
	// model_inference_duration_seconds_count{model_id="digits"} 2
}

// A server of language models counts its calls by OpenTelemetry's conventions.
func ExampleGenAI() {
	m, err := metrics.New(metrics.Config{})
	if err != nil {
		log.Fatal(err)
	}
	g, err := m.GenAI(metrics.GenAIConfig{Version: metrics.GenAI1_37, Provider: "ballast"})
	if err != nil {
		log.Fatal(err)
	}
	request := metrics.GenAIRequest{Operation: "chat", Model: "small"}
	err = g.Do(context.Background(), request, func(call *metrics.GenAICall) error {
		for token := range strings.FieldsSeq("it streams") {
			call.FirstToken() // of several only the first counts
			call.Tokens(1)
			fmt.Println(token)
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}

	show(m, nil, "gen_ai_server_time_to_first_token_seconds_count")
	// Output:
	// it
	// streams
	// gen_ai_server_time_to_first_token_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="ballast",gen_ai_request_model="small",gen_ai_response_model=""} 1
}

// The deferred End of a call that panics sees no error, and counts a success.
func ExampleGenAI_incorrect() {
	m, err := metrics.New(metrics.Config{})
	if err != nil {
		log.Fatal(err)
	}
	g, err := m.GenAI(metrics.GenAIConfig{Version: metrics.GenAI1_37, Provider: "ballast"})
	if err != nil {
		log.Fatal(err)
	}
	func() {
		defer func() { _ = recover() }()
		var err error
		call := g.Begin(context.Background(), metrics.GenAIRequest{Operation: "chat", Model: "small"})
		defer func() { call.End(err) }() // use Do
		panic("out of memory")
	}()

	show(m, nil, "gen_ai_server_request_duration_seconds_count")
	// Output:
	// gen_ai_server_request_duration_seconds_count{error_type="",gen_ai_operation_name="chat",gen_ai_provider_name="ballast",gen_ai_request_model="small",gen_ai_response_model=""} 1
}

// A client is counted under a name that the program gives it.
func ExampleNewTransport() {
	m, err := metrics.New(metrics.Config{})
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	client := &http.Client{Transport: metrics.NewTransport(nil, m, metrics.TransportConfig{Name: "embedder"})}
	resp, err := client.Get(server.URL)
	if err != nil {
		log.Fatal(err)
	}
	resp.Body.Close() // it is counted now

	show(m, nil, "http_client_requests_total")
	// Output:
	// http_client_requests_total{client="embedder",method="GET",status="404"} 1
}

// The rules for a promise, to be written where Prometheus looks for them.
func ExampleRules() {
	rules, err := metrics.Rules(metrics.SLO{
		Name:             "serving",
		Matchers:         map[string]string{"job": "serving"},
		Availability:     0.999,
		Latency:          500 * time.Millisecond,
		LatencyObjective: 0.95,
		Labels:           map[string]string{"team": "ml-platform"},
	})
	if err != nil {
		log.Fatal(err)
	}
	for line := range strings.Lines(string(rules)) {
		if strings.HasPrefix(line, "  - alert: HTTPErrorBudgetBurn") {
			fmt.Print(line)
		}
	}
	// Output:
	//   - alert: HTTPErrorBudgetBurn
	//   - alert: HTTPErrorBudgetBurn
	//   - alert: HTTPErrorBudgetBurn
	//   - alert: HTTPErrorBudgetBurn
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
	// http_requests_total{endpoint="/predict",method="GET",reason="",status="200"} 1
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
	// http_requests_total{endpoint="unmatched",method="GET",reason="",status="200"} 1
}
