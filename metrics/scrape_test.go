package metrics_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/ballast-go/ballast/metrics"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protodelim"
)

// traced stands for a tracing middleware.
func traced(sampled bool, next http.Handler) http.Handler {
	return joined(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reqstate.FromContext(r.Context()).SetTrace([16]byte{0xab, 15: 0xcd}, [8]byte{0x12, 7: 0x34}, sampled)
		next.ServeHTTP(w, r)
	}))
}

func fetch(t *testing.T, m *metrics.Metrics, accept string) (contentType string, body []byte) {
	t.Helper()
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil)
	r.Header.Set("Accept", accept)
	m.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Header().Get("Content-Type"), w.Body.Bytes()
}

const openMetrics = "application/openmetrics-text;version=1.0.0"

// A trace that nobody keeps is no example of anything.
func TestExemplars(t *testing.T) {
	for _, native := range []bool{false, true} {
		for _, sampled := range []bool{true, false} {
			m := mustNew(t, metrics.Config{NativeHistograms: native})
			h := traced(sampled, metrics.Middleware(m, metrics.MiddlewareConfig{})(http.NotFoundHandler()))
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
			_, body := fetch(t, m, openMetrics)
			var lines []string
			for line := range strings.Lines(string(body)) {
				if strings.Contains(line, " # {") {
					lines = append(lines, line)
				}
			}
			want := 0
			if sampled {
				want = 1
			}
			if len(lines) != want {
				t.Fatalf("native %t, sampled %t: %d exemplars: %q", native, sampled, len(lines), lines)
			}
			const ids = ` # {span_id="1200000000000034",trace_id="ab0000000000000000000000000000cd"} `
			if sampled && (!strings.HasPrefix(lines[0], "http_request_duration_seconds_bucket") || !strings.Contains(lines[0], ids)) {
				t.Errorf("%q", lines[0])
			}
			if strings.Contains(page(t, m), "trace_id") {
				t.Error("an exemplar in the text format, which has none")
			}
		}
	}
}

func TestExemplarsRarelyAllocate(t *testing.T) {
	m := mustNew(t, metrics.Config{})
	leaf := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	w, r := &blank{make(http.Header)}, httptest.NewRequest("GET", "/", nil)
	measure := func(h http.Handler) float64 {
		return testing.AllocsPerRun(1000, func() { h.ServeHTTP(w, r) })
	}
	alone := measure(traced(true, leaf))
	if n := measure(traced(true, metrics.Middleware(m, metrics.MiddlewareConfig{})(leaf))) - alone; n != 0 {
		t.Errorf("%v allocations more for a sampled request, want 0 all but once a second", n)
	}
}

func families(t *testing.T, m *metrics.Metrics) map[string]*dto.MetricFamily {
	t.Helper()
	contentType, body := fetch(t, m, "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	if !strings.HasPrefix(contentType, "application/vnd.google.protobuf") {
		t.Fatalf("Content-Type %q", contentType)
	}
	all := make(map[string]*dto.MetricFamily)
	r := bufio.NewReader(bytes.NewReader(body))
	for {
		f := new(dto.MetricFamily)
		if err := protodelim.UnmarshalFrom(r, f); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[f.GetName()] = f
	}
}

// Both kinds of buckets are in one protobuf message, and agree.
func TestNativeHistograms(t *testing.T) {
	m := mustNew(t, metrics.Config{NativeHistograms: true})
	h := metrics.Middleware(m, metrics.MiddlewareConfig{})(http.NotFoundHandler())
	for range 10 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}
	model := mustModel(t, m, metrics.ModelInfo{ID: "m"})
	for i := range 10 {
		model.Observe(time.Duration(i) * 100 * time.Millisecond)
	}
	all := families(t, m)
	for _, name := range []string{"http_request_duration_seconds", "http_request_size_bytes", "http_response_size_bytes", "model_inference_duration_seconds"} {
		his := all[name].GetMetric()[0].GetHistogram()
		if his.GetSchema() != 3 || his.GetSampleCount() != 10 || len(his.Bucket) == 0 {
			t.Errorf("%s: %v", name, his)
		}
		count, n := int64(his.GetZeroCount()), int64(0)
		for _, d := range his.PositiveDelta {
			n += d
			count += n
		}
		if count != 10 {
			t.Errorf("%s: %d in native buckets", name, count)
		}
	}
	if his := families(t, used(t))["http_request_duration_seconds"].GetMetric()[0].GetHistogram(); his.Schema != nil {
		t.Errorf("native buckets that nobody asked for: %v", his)
	}
}

func TestCloseUnregisters(t *testing.T) {
	registry := prometheus.NewRegistry()
	a := mustNew(t, metrics.Config{Registerer: registry})
	b := mustNew(t, metrics.Config{Registerer: registry})
	mine := prometheus.NewGauge(prometheus.GaugeOpts{Name: "mine", Help: "Mine."})
	if c, err := a.Attach(mine); err != nil || c != mine {
		t.Fatalf("Attach = %v, %v", c, err)
	}
	again := prometheus.NewGauge(prometheus.GaugeOpts{Name: "mine", Help: "Mine."})
	if c, err := b.Attach(again); err != nil || c != mine {
		t.Fatalf("Attach of an equal one = %v, %v", c, err)
	}
	if _, err := b.Attach(prometheus.NewGauge(prometheus.GaugeOpts{Name: "mine", Help: "Other."})); err == nil {
		t.Error("Attach of what is in the way")
	}
	serve(a)
	a.Close()
	a.Close()
	if _, err := a.Attach(mine); err == nil {
		t.Error("Attach to a closed one")
	}
	if n := len(only(scrape(t, b), "http_requests_total")); n != 1 {
		t.Error("gone, though one is open")
	}
	b.Close()
	if left, err := registry.Gather(); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	serve(a) // counts into nothing

	// And again, with other settings.
	c := mustNew(t, metrics.Config{Registerer: registry, Names: metrics.OTel})
	serve(c)
	if n := len(only(scrape(t, c), "http_server_request_duration_seconds_count")); n != 1 {
		t.Error("not there again")
	}
}

// New and Close of the same registry at the same time leave nothing half done.
func TestNewWhileClosing(t *testing.T) {
	registry := prometheus.NewRegistry()
	done := make(chan error, 8)
	for range cap(done) {
		go func() {
			for range 200 {
				m, err := metrics.New(metrics.Config{Registerer: registry})
				if err != nil {
					done <- err
					return
				}
				m.Close()
			}
			done <- nil
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if left, err := registry.Gather(); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestConfigIsFilledIn(t *testing.T) {
	c := mustNew(t, metrics.Config{Names: metrics.OTel}).Config()
	if c.Registerer == nil || c.Gatherer == nil || c.MaxSeries != 1000 || c.MaxModels != 100 || c.Names != metrics.OTel {
		t.Errorf("%+v", c)
	}
}

// A registry that checks everything finds nothing, in either convention.
func TestPedanticRegistry(t *testing.T) {
	for _, names := range []metrics.Names{metrics.Guide, metrics.OTel} {
		for _, native := range []bool{false, true} {
			m := mustNew(t, metrics.Config{Registerer: prometheus.NewPedanticRegistry(), Names: names, NativeHistograms: native})
			exercise(t, m)
			page(t, m)
		}
	}
}

// While dashboards move, a registry has both conventions.
func TestBothConventions(t *testing.T) {
	registry := prometheus.NewRegistry()
	with := func(names metrics.Names) *metrics.Metrics {
		wrapped := prometheus.WrapRegistererWith(prometheus.Labels{"names": names.String()}, registry)
		return mustNew(t, metrics.Config{Registerer: wrapped, Gatherer: registry, Names: names})
	}
	guide, otel := with(metrics.Guide), with(metrics.OTel)
	h := metrics.Middleware(guide, metrics.MiddlewareConfig{})(metrics.Middleware(otel, metrics.MiddlewareConfig{})(http.NotFoundHandler()))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	got := scrape(t, guide)
	for _, name := range []string{"http_requests_total", "http_server_request_duration_seconds_count"} {
		if n := sum(only(got, name)); n != 1 {
			t.Errorf("%s: %v", name, n)
		}
	}
}
