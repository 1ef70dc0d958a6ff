package breakerprom_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// source stands for something whose numbers are an S.
type source[S any] struct {
	stats S
	asked int
}

func (s *source[S]) Stats() S {
	s.asked++
	return s.stats
}

// registryOf is pedantic: it checks what is collected against what was described.
func registryOf(t testing.TB, collectors ...prometheus.Collector) *prometheus.Registry {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	for _, c := range collectors {
		if err := r.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// page returns what a Prometheus that asks for text gets.
func page(t testing.TB, r *prometheus.Registry) string {
	t.Helper()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(r, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("scrape: status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// samples returns the value of each sample, by its name and labels as on the page.
func samples(t testing.TB, page string) map[string]float64 {
	t.Helper()
	found := make(map[string]float64)
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		if line[0] == '#' {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		found[line[:i]] = v
	}
	return found
}

// want checks some of the samples on r's page.
func want(t testing.TB, r *prometheus.Registry, values map[string]float64) {
	t.Helper()
	got := samples(t, page(t, r))
	for name, v := range values {
		if g, ok := got[name]; !ok || g != v {
			t.Errorf("%s is %v (%v), want %v", name, g, ok, v)
		}
	}
}
