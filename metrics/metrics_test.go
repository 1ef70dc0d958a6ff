package metrics_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ballast-go/ballast/metrics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// serve sends one request through m's middleware; its endpoint is "unmatched".
func serve(m *metrics.Metrics) {
	h := metrics.Middleware(m, metrics.MiddlewareConfig{})(http.NotFoundHandler())
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
}

// used returns a Metrics with a value in each family, on a registry of its own.
func used(t *testing.T) *metrics.Metrics {
	m := mustNew(t, metrics.Config{})
	serve(m)
	model := mustModel(t, m, metrics.ModelInfo{ID: "digits", Version: "1.0.0", Framework: "go"})
	model.Observe(20 * time.Millisecond)
	model.CountError("timeout")
	return m
}

func TestConfigErrors(t *testing.T) {
	registry := prometheus.NewRegistry()
	tests := []struct {
		name   string
		config metrics.Config
		want   []string
	}{
		{"bounds", metrics.Config{MaxSeries: -1, MaxModels: 1001}, []string{
			"metrics: Config.MaxSeries: -1 is not between 1 and 5000",
			"metrics: Config.MaxModels: 1001 is not between 1 and 1000",
		}},
		{"all at once", metrics.Config{MaxSeries: 5001, Gatherer: registry}, []string{
			"Config.MaxSeries: 5001", "Config.Gatherer: is set without a Registerer",
		}},
		{"not a gatherer", metrics.Config{Registerer: prometheus.WrapRegistererWithPrefix("x_", registry)}, []string{
			"metrics: Config.Gatherer: is nil, and the Registerer, a *prometheus.wrappingRegisterer, is not a prometheus.Gatherer",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, err := metrics.New(test.config)
			if err == nil || m != nil {
				t.Fatalf("New = %v, %v", m, err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}

func TestRegisterConflictLeavesNothing(t *testing.T) {
	registry := prometheus.NewRegistry()
	mine := prometheus.NewGauge(prometheus.GaugeOpts{Name: "model_inference_duration_seconds", Help: "Mine."})
	registry.MustRegister(mine)
	m, err := metrics.New(metrics.Config{Registerer: registry})
	if err == nil || m != nil {
		t.Fatalf("New = %v, %v", m, err)
	}
	for _, want := range []string{"metrics: Config.Registerer: another collector is in the way", "model_inference_duration_seconds"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	registry.Unregister(mine)
	families, err := registry.Gather()
	if err != nil || len(families) != 0 {
		t.Errorf("left behind: %v, %v", families, err)
	}
	for _, name := range []string{"http_requests_total", "http_requests_active", "model_info"} {
		if err := registry.Register(prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: "Mine."})); err != nil {
			t.Errorf("left behind: %v", err)
		}
	}
}

// broken is a Registerer that says of anything that it has it.
type broken struct{ *prometheus.Registry }

func (broken) Register(c prometheus.Collector) error {
	return prometheus.AlreadyRegisteredError{ExistingCollector: prometheus.NewRegistry(), NewCollector: c}
}

func TestRegisterErrorIsKept(t *testing.T) {
	_, err := metrics.New(metrics.Config{Registerer: broken{prometheus.NewRegistry()}})
	if _, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); !ok {
		t.Errorf("New: %v", err)
	}
}

func TestRegisteredTwiceShares(t *testing.T) {
	registry := prometheus.NewRegistry()
	a := mustNew(t, metrics.Config{Registerer: registry, MaxSeries: 10})
	b := mustNew(t, metrics.Config{Registerer: registry, MaxSeries: 10})
	serve(a)
	serve(b)
	// Through both at once is still one request.
	both := metrics.Middleware(a, metrics.MiddlewareConfig{})(metrics.Middleware(b, metrics.MiddlewareConfig{})(http.NotFoundHandler()))
	both.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	wantTotals(t, a, map[string]float64{total("GET", "unmatched", "404"): 3})

	mustModel(t, a, metrics.ModelInfo{ID: "m"})
	if _, err := b.Model(metrics.ModelInfo{ID: "m"}); err == nil {
		t.Error("a model of the same registry, registered twice")
	}

	_, err := metrics.New(metrics.Config{Registerer: registry})
	if err == nil || !strings.Contains(err.Error(), "has a Metrics already, with MaxSeries 10, MaxModels 100, Names Guide and NativeHistograms false instead of MaxSeries 1000,") {
		t.Errorf("other bounds: %v", err)
	}
}

func TestInstancesAreApart(t *testing.T) {
	registry := prometheus.NewRegistry()
	wrapped := func(service string) prometheus.Registerer {
		return prometheus.WrapRegistererWith(prometheus.Labels{"service": service}, registry)
	}
	a, b := mustNew(t, metrics.Config{}), mustNew(t, metrics.Config{})
	c := mustNew(t, metrics.Config{Registerer: wrapped("c"), Gatherer: registry})
	d := mustNew(t, metrics.Config{Registerer: wrapped("d"), Gatherer: registry})
	again := mustNew(t, metrics.Config{Registerer: wrapped("d"), Gatherer: registry})
	for _, m := range []*metrics.Metrics{a, b, c, d} {
		mustModel(t, m, metrics.ModelInfo{ID: "m"})
	}
	serve(a)
	serve(c)
	serve(c)
	serve(again)
	wantTotals(t, a, map[string]float64{total("GET", "unmatched", "404"): 1})
	wantTotals(t, b, nil)
	const k = `http_requests_total{endpoint="unmatched",method="GET",reason="",service="`
	got := only(scrape(t, d), "http_requests_total")
	if got[k+`c",status="404"}`] != 2 || got[k+`d",status="404"}`] != 1 || len(got) != 2 {
		t.Errorf("wrapped: %v", got)
	}
	// A request through two that are apart is one for each.
	both := metrics.Middleware(a, metrics.MiddlewareConfig{})(metrics.Middleware(b, metrics.MiddlewareConfig{})(http.NotFoundHandler()))
	both.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	wantTotals(t, a, map[string]float64{total("GET", "unmatched", "404"): 2})
	wantTotals(t, b, map[string]float64{total("GET", "unmatched", "404"): 1})
}

func TestGlobalRegistryIsLeftAlone(t *testing.T) {
	serve(mustNew(t, metrics.Config{}))
	families, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "http_") || strings.HasPrefix(f.GetName(), "model_") {
			t.Errorf("the global registry has %s", f.GetName())
		}
	}
}

func TestOwnRegistryHasRuntime(t *testing.T) {
	if len(only(scrape(t, mustNew(t, metrics.Config{})), "go_goroutines")) != 1 {
		t.Error("no go_goroutines with a registry of its own")
	}
	given := mustNew(t, metrics.Config{Registerer: prometheus.NewRegistry()})
	if all := scrape(t, given); len(all) != 4 { // http_requests_active, metrics_overflow_total
		t.Errorf("in a given registry: %v", all)
	}
}

// The guide's names, labels and buckets are API: dashboards are built on them.
func TestPage(t *testing.T) {
	m := mustNew(t, metrics.Config{Registerer: prometheus.NewRegistry()})
	serve(m)
	model := mustModel(t, m, metrics.ModelInfo{ID: "digits", Version: "1.0.0", Framework: "go"})
	model.Observe(20 * time.Millisecond)
	model.CountError("timeout")
	var names []string
	for line := range strings.Lines(page(t, m)) {
		if family, ok := strings.CutPrefix(line, "# TYPE "); ok {
			names = append(names, strings.TrimSpace(family))
		} else if line[0] != '#' {
			names = append(names, line[:strings.LastIndexByte(line, ' ')])
		}
	}
	const want = `
http_request_duration_seconds histogram
http_request_duration_seconds_bucket{endpoint="unmatched",method="GET",le="0.005"}
http_request_duration_seconds_bucket{endpoint="unmatched",method="GET",le="0.01"}
http_request_duration_seconds_bucket{endpoint="unmatched",method="GET",le="0.025"}
http_request_duration_seconds_bucket{endpoint="unmatched",method="GET",le="0.05"}
http_request_duration_seconds_bucket{endpoint="unmatched",method="GET",le="0.1"}
http_request_duration_seconds_bucket{endpoint="unmatched",method="GET",le="0.25"}
http_request_duration_seconds_bucket{endpoint="unmatched",method="GET",le="0.5"}
http_request_duration_seconds_bucket{endpoint="unmatched",method="GET",le="1"}
http_request_duration_seconds_bucket{endpoint="unmatched",method="GET",le="2.5"}
http_request_duration_seconds_bucket{endpoint="unmatched",method="GET",le="5"}
http_request_duration_seconds_bucket{endpoint="unmatched",method="GET",le="10"}
http_request_duration_seconds_bucket{endpoint="unmatched",method="GET",le="+Inf"}
http_request_duration_seconds_sum{endpoint="unmatched",method="GET"}
http_request_duration_seconds_count{endpoint="unmatched",method="GET"}
http_request_size_bytes histogram
http_request_size_bytes_bucket{endpoint="unmatched",method="GET",le="256"}
http_request_size_bytes_bucket{endpoint="unmatched",method="GET",le="1024"}
http_request_size_bytes_bucket{endpoint="unmatched",method="GET",le="4096"}
http_request_size_bytes_bucket{endpoint="unmatched",method="GET",le="16384"}
http_request_size_bytes_bucket{endpoint="unmatched",method="GET",le="65536"}
http_request_size_bytes_bucket{endpoint="unmatched",method="GET",le="262144"}
http_request_size_bytes_bucket{endpoint="unmatched",method="GET",le="1.048576e+06"}
http_request_size_bytes_bucket{endpoint="unmatched",method="GET",le="4.194304e+06"}
http_request_size_bytes_bucket{endpoint="unmatched",method="GET",le="1.6777216e+07"}
http_request_size_bytes_bucket{endpoint="unmatched",method="GET",le="6.7108864e+07"}
http_request_size_bytes_bucket{endpoint="unmatched",method="GET",le="+Inf"}
http_request_size_bytes_sum{endpoint="unmatched",method="GET"}
http_request_size_bytes_count{endpoint="unmatched",method="GET"}
http_requests_active gauge
http_requests_active
http_requests_total counter
http_requests_total{endpoint="unmatched",method="GET",reason="",status="404"}
http_response_size_bytes histogram
http_response_size_bytes_bucket{endpoint="unmatched",method="GET",le="256"}
http_response_size_bytes_bucket{endpoint="unmatched",method="GET",le="1024"}
http_response_size_bytes_bucket{endpoint="unmatched",method="GET",le="4096"}
http_response_size_bytes_bucket{endpoint="unmatched",method="GET",le="16384"}
http_response_size_bytes_bucket{endpoint="unmatched",method="GET",le="65536"}
http_response_size_bytes_bucket{endpoint="unmatched",method="GET",le="262144"}
http_response_size_bytes_bucket{endpoint="unmatched",method="GET",le="1.048576e+06"}
http_response_size_bytes_bucket{endpoint="unmatched",method="GET",le="4.194304e+06"}
http_response_size_bytes_bucket{endpoint="unmatched",method="GET",le="1.6777216e+07"}
http_response_size_bytes_bucket{endpoint="unmatched",method="GET",le="6.7108864e+07"}
http_response_size_bytes_bucket{endpoint="unmatched",method="GET",le="+Inf"}
http_response_size_bytes_sum{endpoint="unmatched",method="GET"}
http_response_size_bytes_count{endpoint="unmatched",method="GET"}
metrics_overflow_total counter
metrics_overflow_total{of="error_types"}
metrics_overflow_total{of="reasons"}
metrics_overflow_total{of="requests"}
model_inference_duration_seconds histogram
model_inference_duration_seconds_bucket{model_id="digits",le="0.01"}
model_inference_duration_seconds_bucket{model_id="digits",le="0.05"}
model_inference_duration_seconds_bucket{model_id="digits",le="0.1"}
model_inference_duration_seconds_bucket{model_id="digits",le="0.25"}
model_inference_duration_seconds_bucket{model_id="digits",le="0.5"}
model_inference_duration_seconds_bucket{model_id="digits",le="1"}
model_inference_duration_seconds_bucket{model_id="digits",le="2.5"}
model_inference_duration_seconds_bucket{model_id="digits",le="5"}
model_inference_duration_seconds_bucket{model_id="digits",le="+Inf"}
model_inference_duration_seconds_sum{model_id="digits"}
model_inference_duration_seconds_count{model_id="digits"}
model_info gauge
model_info{framework="go",model_id="digits",version="1.0.0"}
prediction_errors_total counter
prediction_errors_total{error_type="_other",model_id="digits"}
prediction_errors_total{error_type="timeout",model_id="digits"}
`
	got := "\n" + strings.Join(names, "\n") + "\n"
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestHandlerNegotiates(t *testing.T) {
	m := used(t)
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil)
	r.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
	m.Handler().ServeHTTP(w, r)
	if ct := w.Header().Get("Content-Type"); !strings.HasPrefix(ct, "application/openmetrics-text") {
		t.Errorf("Content-Type %q", ct)
	}
	if !strings.HasSuffix(w.Body.String(), "# EOF\n") {
		t.Error("not OpenMetrics")
	}
}

func TestPromlint(t *testing.T) {
	problems, err := promlint.New(strings.NewReader(page(t, used(t)))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}
