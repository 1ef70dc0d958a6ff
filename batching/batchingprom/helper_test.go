package batchingprom_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ballast-go/ballast/batching"
	"github.com/ballast-go/ballast/batching/batchingprom"
)

// source stands for a batcher.
type source struct {
	stats batching.Stats
	asked int
}

func (s *source) Stats() batching.Stats {
	s.asked++
	return s.stats
}

// registryOf has a collector for each of the sources. It is pedantic: it checks
// what is collected against what was described.
func registryOf(t testing.TB, sources ...interface{ Stats() batching.Stats }) *prometheus.Registry {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	for _, s := range sources {
		if err := r.Register(batchingprom.NewCollector(s)); err != nil {
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
