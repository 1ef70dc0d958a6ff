package metrics_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/ballast-go/ballast/metrics"
)

func mustNew(t testing.TB, c metrics.Config) *metrics.Metrics {
	t.Helper()
	m, err := metrics.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func mustModel(t testing.TB, m *metrics.Metrics, info metrics.ModelInfo) *metrics.Model {
	t.Helper()
	model, err := m.Model(info)
	if err != nil {
		t.Fatal(err)
	}
	return model
}

// page returns what a Prometheus that asks for text gets.
func page(t testing.TB, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("scrape: status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// scrape returns the value of each sample, by its name and labels as on the page.
func scrape(t testing.TB, m *metrics.Metrics) map[string]float64 {
	t.Helper()
	samples := make(map[string]float64)
	for line := range strings.Lines(page(t, m)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		samples[line[:i]] = v
	}
	return samples
}

// only returns the samples whose name starts with prefix.
func only(samples map[string]float64, prefix string) map[string]float64 {
	found := make(map[string]float64)
	for k, v := range samples {
		if strings.HasPrefix(k, prefix) {
			found[k] = v
		}
	}
	return found
}

func sum(samples map[string]float64) (total float64) {
	for _, v := range samples {
		total += v
	}
	return total
}

func total(method, endpoint, status string) string { return rejected(method, endpoint, status, "") }

func rejected(method, endpoint, status, reason string) string {
	return `http_requests_total{endpoint="` + endpoint + `",method="` + method + `",reason="` + reason + `",status="` + status + `"}`
}

// wantTotals fails t unless http_requests_total has exactly the samples of
// want, no request is active, and the histogram has as many observations.
func wantTotals(t testing.TB, m *metrics.Metrics, want map[string]float64) {
	t.Helper()
	all := scrape(t, m)
	got := only(all, "http_requests_total")
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s is %v, want %v", k, got[k], v)
		}
	}
	for k, v := range got {
		if _, ok := want[k]; !ok {
			t.Errorf("unexpected %s %v", k, v)
		}
	}
	if n := all["http_requests_active"]; n != 0 {
		t.Errorf("http_requests_active is %v at the end, want 0", n)
	}
	if n := sum(only(all, "http_request_duration_seconds_count")); n != sum(want) {
		t.Errorf("%v durations for %v requests", n, sum(want))
	}
}

// A server is a real one, whose wait returns when every request that it got is
// accounted for, which is later than when the client has its answer.
type server struct {
	*httptest.Server
	wg sync.WaitGroup
}

func (s *server) wait() { s.wg.Wait() }

func newServer(t testing.TB, http2 bool, h http.Handler) *server {
	t.Helper()
	s := new(server)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.wg.Add(1)
		defer s.wg.Done()
		h.ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // panics are part of the tests
	if s.EnableHTTP2 = http2; http2 {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// overBoth runs f over HTTP/1.1 and over HTTP/2 with TLS.
func overBoth(t *testing.T, f func(t *testing.T, http2 bool)) {
	t.Run("HTTP1", func(t *testing.T) { f(t, false) })
	t.Run("HTTP2", func(t *testing.T) { f(t, true) })
}
