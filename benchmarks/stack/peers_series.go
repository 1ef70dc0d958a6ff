package stackbench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	slokprom "github.com/slok/go-http-metrics/metrics/prometheus"
	slok "github.com/slok/go-http-metrics/middleware"
	slokstd "github.com/slok/go-http-metrics/middleware/std"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	noop "go.opentelemetry.io/otel/trace/noop"
)

var buckets = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

// scrape reads a Prometheus handler.
func scrape(h http.Handler) func() ([]byte, error) {
	return func() ([]byte, error) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		if w.Code != http.StatusOK {
			return nil, fmt.Errorf("a scrape answers %d", w.Code)
		}
		return bytes.Clone(w.Body.Bytes()), nil
	}
}

// registry is each stack's own.
func (w world) registry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	if w.probe != nil {
		w.probe.series = scrape(promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	}
	return reg
}

// promByHand looks the series up by their labels for each request, as nearly
// everybody does. It is told the route: r.Pattern is set on a copy of the request
// further in.
func promByHand(w world) middleware {
	reg := w.registry()
	total := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total"}, []string{"method", "endpoint", "status"})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_duration_seconds", Buckets: buckets}, []string{"method", "endpoint"})
	active := prometheus.NewGauge(prometheus.GaugeOpts{Name: "http_requests_active"})
	reg.MustRegister(total, duration, active)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			begin, rec := time.Now(), record(w)
			active.Inc()
			next.ServeHTTP(rec, r)
			active.Dec()
			total.WithLabelValues(r.Method, route, strconv.Itoa(rec.status)).Inc()
			duration.WithLabelValues(r.Method, route).Observe(time.Since(begin).Seconds())
		})
	}
}

// promHTTP is client_golang's own. It knows no routes.
func promHTTP(w world) middleware {
	reg := w.registry()
	total := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total"}, []string{"method", "code"})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_duration_seconds", Buckets: buckets}, []string{"method"})
	active := prometheus.NewGauge(prometheus.GaugeOpts{Name: "http_requests_active"})
	reg.MustRegister(total, duration, active)
	return func(next http.Handler) http.Handler {
		return promhttp.InstrumentHandlerInFlight(active, promhttp.InstrumentHandlerDuration(duration, promhttp.InstrumentHandlerCounter(total, next)))
	}
}

// slokMetrics is told the route, which is less work than to find it out.
func slokMetrics(w world) middleware {
	rec := slokprom.NewRecorder(slokprom.Config{Registry: w.registry(), DurationBuckets: buckets})
	m := slok.New(slok.Config{Recorder: rec, DisableMeasureSize: true})
	return func(next http.Handler) http.Handler { return slokstd.Handler(route, m, next) }
}

// otelMetrics is otelhttp without traces.
func otelMetrics(w world) middleware {
	reader := metric.NewManualReader()
	mp := metric.NewMeterProvider(metric.WithReader(reader))
	if w.probe != nil {
		w.probe.series = func() ([]byte, error) {
			var all metricdata.ResourceMetrics
			err := reader.Collect(context.Background(), &all)
			text, _ := json.Marshal(all.ScopeMetrics)
			return text, err
		}
	}
	return otelhttp.NewMiddleware("", otelhttp.WithMeterProvider(mp), otelhttp.WithTracerProvider(noop.NewTracerProvider()))
}

// exporter counts what it throws away.
type exporter struct{ spans int }

func (e *exporter) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	e.spans += len(spans)
	return nil
}
func (e *exporter) Shutdown(context.Context) error { return nil }

// provider is OpenTelemetry's own, with its batches going nowhere.
func provider(w world, ratio float64) (*sdktrace.TracerProvider, func()) {
	e := &exporter{}
	tp := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(ratio))), sdktrace.WithBatcher(e))
	if w.probe != nil {
		w.probe.spans = e
	}
	return tp, func() { _ = tp.Shutdown(context.Background()) }
}

// otelHTTP traces and has no metrics; ratio is what is sampled.
func otelHTTP(w world, ratio float64) (middleware, func()) {
	tp, closeIt := provider(w, ratio)
	return otelTraces(tp), closeIt
}

func otelTraces(tp trace.TracerProvider) middleware {
	return otelhttp.NewMiddleware("POST "+route, otelhttp.WithTracerProvider(tp), otelhttp.WithMeterProvider(noopmetric.NewMeterProvider()),
		otelhttp.WithPropagators(propagation.TraceContext{}))
}

func hasSpan(r *http.Request) bool { return trace.SpanContextFromContext(r.Context()).IsValid() }
