package metrics_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ballast-go/ballast/metrics"
)

func TestFlood(t *testing.T) {
	m := mustNew(t, metrics.Config{})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /predict", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/files/{path...}", func(http.ResponseWriter, *http.Request) {})
	s := newServer(t, false, metrics.Middleware(m, metrics.MiddlewareConfig{})(mux))

	const n = 3000
	random := rand.New(rand.NewPCG(1, 2))
	word := func(alphabet string) string {
		b := make([]byte, 8)
		for i := range b {
			b[i] = alphabet[random.IntN(len(alphabet))]
		}
		return string(b)
	}
	for range n {
		path := "/" + word("abcdefghijklmnopqrstuvwxyz%25")
		if random.IntN(2) == 0 {
			path = "/files" + path
		}
		path = strings.ReplaceAll(path, "%", "%25")
		r, err := http.NewRequest(word("ABCDEFGHIJKLMNOPQRSTUVWXYZ-!"), s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	s.wait()
	samples := scrape(t, m)
	wantTotals(t, m, map[string]float64{
		total("_other", "unmatched", "404"):        samples[total("_other", "unmatched", "404")],
		total("_other", "/files/{path...}", "200"): samples[total("_other", "/files/{path...}", "200")],
	})
	if got := sum(only(samples, "http_requests_total")); got != n {
		t.Errorf("%v counted, want %d", got, n)
	}
}

func TestMethods(t *testing.T) {
	m := mustNew(t, metrics.Config{})
	h := metrics.Middleware(m, metrics.MiddlewareConfig{})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	want := make(map[string]float64)
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE"} {
		want[total(method, "unmatched", "200")] = 1
	}
	for _, method := range []string{"get", "PROPFIND", "_other", "\xff", ""} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Method = method
		h.ServeHTTP(httptest.NewRecorder(), r)
		want[total("_other", "unmatched", "200")]++
	}
	for k := range want {
		if method := strings.Split(k, `"`)[3]; method != "_other" {
			r := httptest.NewRequest("GET", "/", nil)
			r.Method = method
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
	}
	wantTotals(t, m, want)
}

// foreign sets the pattern as a router other than http.ServeMux may.
func foreign(pattern string, status int) (w http.ResponseWriter, r *http.Request, h http.Handler) {
	return httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Pattern = pattern
		w.WriteHeader(status)
	})
}

func TestMaxSeries(t *testing.T) {
	m := mustNew(t, metrics.Config{MaxSeries: 3})
	middleware := metrics.Middleware(m, metrics.MiddlewareConfig{})
	serve := func(pattern string, status int) {
		w, r, h := foreign(pattern, status)
		middleware(h).ServeHTTP(w, r)
	}
	serve("/a", 200)
	serve("/a", 503)
	serve("/b", 200)
	for i := range 1000 { // beyond
		serve(fmt.Sprintf("/%d", i), 200+i%700)
	}
	serve("/a", 200) // has its series still
	samples := scrape(t, m)
	want := map[string]float64{
		total("GET", "/a", "200"): 2,
		total("GET", "/a", "503"): 1,
		total("GET", "/b", "200"): 1,
	}
	for _, status := range []string{"2xx", "3xx", "4xx", "401", "403", "429", "5xx", "6xx", "7xx", "8xx"} {
		k := total("GET", "_other", status)
		want[k] = samples[k]
	}
	wantTotals(t, m, want)
	if got := sum(only(samples, "http_requests_total")); got != 1004 {
		t.Errorf("%v counted, want 1004", got)
	}
	if got := len(only(samples, "http_request_duration_seconds_count")); got != 3 {
		t.Errorf("%d histograms, want 3: /a, /b, _other", got)
	}
}

func TestOddRoutes(t *testing.T) {
	m := mustNew(t, metrics.Config{})
	for _, pattern := range []string{"/\xff\"\n", "/" + strings.Repeat("x", 256)} {
		w, r, h := foreign(pattern, 200)
		metrics.Middleware(m, metrics.MiddlewareConfig{})(h).ServeHTTP(w, r)
	}
	wantTotals(t, m, map[string]float64{
		total("GET", "/\uFFFD\\\"\\n", "200"): 1,
		total("GET", "_other", "2xx"):         1,
	})
}

// A status that net/http would refuse comes from a foreign ResponseWriter.
func TestOddStatus(t *testing.T) {
	m := mustNew(t, metrics.Config{MaxSeries: 1})
	middleware := metrics.Middleware(m, metrics.MiddlewareConfig{})
	for _, status := range []int{200, 1234, 1_000_000} {
		_, r, h := foreign("/x", status)
		middleware(h).ServeHTTP(&blank{make(http.Header)}, r)
	}
	wantTotals(t, m, map[string]float64{
		total("GET", "/x", "200"):     1,
		total("GET", "_other", "0xx"): 2,
	})
}
