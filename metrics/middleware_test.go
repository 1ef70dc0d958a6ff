package metrics_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/ballast-go/ballast/metrics"
)

// outcomes are handlers by route, and the status that each is counted with.
var outcomes = map[string]struct {
	status  string
	handler http.HandlerFunc
}{
	"/ok":       {"200", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }},
	"/implicit": {"200", func(http.ResponseWriter, *http.Request) {}},
	"/early": {"201", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusCreated)
	}},
	"/twice": {"404", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		w.WriteHeader(http.StatusInternalServerError)
	}},
	"/odd/{id}":   {"999", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(999) }},
	"/panic":      {"500", func(http.ResponseWriter, *http.Request) { panic("boom") }},
	"/late-panic": {"500", func(w http.ResponseWriter, _ *http.Request) { flush(w); panic("boom") }},
	"/abort":      {"500", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	"/cut":        {"500", func(w http.ResponseWriter, _ *http.Request) { flush(w); panic(http.ErrAbortHandler) }},
	"/goexit": {"500", func(http.ResponseWriter, *http.Request) {
		runtime.Goexit()
	}},
	"/event": {"500", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "event: error\ndata: {}\n\n")
	}},
	"/limited": {"429", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }},
}

func flush(w http.ResponseWriter) {
	io.WriteString(w, "some")
	w.(http.Flusher).Flush()
}

func TestOutcomes(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		m := mustNew(t, metrics.Config{})
		mux := http.NewServeMux()
		want := make(map[string]float64)
		for route, o := range outcomes {
			mux.Handle("GET "+route, o.handler)
			want[total("GET", route, o.status)] = 1
		}
		s := newServer(t, http2, metrics.Middleware(m, metrics.MiddlewareConfig{})(mux))
		// A client resends a GET whose reused connection broke before an answer.
		s.Client().Transport.(*http.Transport).DisableKeepAlives = true
		for k := range want {
			route := strings.Split(k, `"`)[1]
			resp, err := s.Client().Get(s.URL + strings.ReplaceAll(route, "{id}", "7"))
			if err == nil {
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		}
		s.wait()
		wantTotals(t, m, want)
	})
}

func TestClientGone(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		m := mustNew(t, metrics.Config{})
		mux := http.NewServeMux()
		ctx, cancel := context.WithCancel(t.Context())
		mux.HandleFunc("GET /slow", func(_ http.ResponseWriter, r *http.Request) {
			if n := scrape(t, m)["http_requests_active"]; n != 1 {
				t.Errorf("http_requests_active is %v meanwhile, want 1", n)
			}
			cancel()
			<-r.Context().Done()
		})
		s := newServer(t, http2, metrics.Middleware(m, metrics.MiddlewareConfig{})(mux))
		r, _ := http.NewRequestWithContext(ctx, "GET", s.URL+"/slow", nil)
		if resp, err := s.Client().Do(r); err == nil {
			resp.Body.Close()
			t.Fatal("the client was not cancelled")
		}
		s.wait()
		wantTotals(t, m, map[string]float64{total("GET", "/slow", "499"): 1})
	})
}

func TestHijack(t *testing.T) {
	m := mustNew(t, metrics.Config{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /socket", func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
	})
	s := newServer(t, false, metrics.Middleware(m, metrics.MiddlewareConfig{})(mux))
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /socket HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	s.wait()
	wantTotals(t, m, map[string]float64{total("GET", "/socket", "101"): 1})
}

func TestTimeoutHandler(t *testing.T) {
	for _, inside := range []bool{true, false} {
		t.Run(fmt.Sprintf("inside=%v", inside), func(t *testing.T) {
			overBoth(t, func(t *testing.T, http2 bool) {
				m := mustNew(t, metrics.Config{})
				answered, left := make(chan struct{}), make(chan struct{})
				mux := http.NewServeMux()
				mux.HandleFunc("GET /slow", func(w http.ResponseWriter, _ *http.Request) {
					<-answered // outlives its request
					io.WriteString(w, "too late")
				})
				timeout := func(h http.Handler) http.Handler { return http.TimeoutHandler(h, time.Millisecond, "") }
				mark := func(h http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						defer close(left)
						h.ServeHTTP(w, r)
					})
				}
				h := metrics.Middleware(m, metrics.MiddlewareConfig{})
				want := total("GET", "/slow", "503")
				var chain http.Handler
				if inside {
					chain = h(timeout(mark(mux)))
					want = total("GET", "unmatched", "503") // TimeoutHandler hands on a copy
				} else {
					chain = timeout(mark(h(mux)))
				}
				s := newServer(t, http2, chain)
				resp, err := s.Client().Get(s.URL + "/slow")
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusServiceUnavailable {
					t.Errorf("status %d", resp.StatusCode)
				}
				close(answered)
				<-left
				s.wait()
				wantTotals(t, m, map[string]float64{want: 1})
			})
		})
	}
}

func TestDurationIsTheHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mustNew(t, metrics.Config{})
		h := metrics.Middleware(m, metrics.MiddlewareConfig{})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			<-time.After(30 * time.Millisecond)
		}))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		got := scrape(t, m)
		for k, want := range map[string]float64{
			`http_request_duration_seconds_sum{endpoint="unmatched",method="GET"}`:               0.03,
			`http_request_duration_seconds_bucket{endpoint="unmatched",method="GET",le="0.025"}`: 0,
			`http_request_duration_seconds_bucket{endpoint="unmatched",method="GET",le="0.05"}`:  1,
		} {
			if v, ok := got[k]; !ok || v != want {
				t.Errorf("%s is %v, want %v", k, v, want)
			}
		}
	})
}

func TestMountedTwiceCountsOnce(t *testing.T) {
	m := mustNew(t, metrics.Config{})
	mux := http.NewServeMux()
	outer, inner := metrics.Middleware(m, metrics.MiddlewareConfig{}), metrics.Middleware(m, metrics.MiddlewareConfig{})
	mux.Handle("GET /x", inner(outcomes["/ok"].handler))
	outer(mux).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/x", nil))
	wantTotals(t, m, map[string]float64{total("GET", "/x", "200"): 1})
}

func TestWithoutState(t *testing.T) {
	m := mustNew(t, metrics.Config{})
	mux := http.NewServeMux()
	chain := metrics.Middleware(m, metrics.MiddlewareConfig{})(mux)
	mux.HandleFunc("GET /outer", func(w http.ResponseWriter, r *http.Request) {
		sub := httptest.NewRequestWithContext(metrics.WithoutState(r.Context()), "GET", "/inner", nil)
		chain.ServeHTTP(httptest.NewRecorder(), sub)
	})
	mux.HandleFunc("GET /inner", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	chain.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/outer", nil))
	wantTotals(t, m, map[string]float64{
		total("GET", "/outer", "200"): 1,
		total("GET", "/inner", "418"): 1,
	})
}

func TestNilMetricsPanicsEarly(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	metrics.Middleware(nil, metrics.MiddlewareConfig{})
}

func TestScrapeUnderLoad(t *testing.T) {
	m := mustNew(t, metrics.Config{MaxSeries: 50})
	model := mustModel(t, m, metrics.ModelInfo{ID: "m"})
	mux := http.NewServeMux()
	mux.HandleFunc("/s/{status}", func(w http.ResponseWriter, r *http.Request) {
		var status int
		fmt.Sscan(r.PathValue("status"), &status)
		model.Observe(time.Millisecond)
		model.CountError(r.PathValue("status"))
		w.WriteHeader(status)
	})
	h := metrics.Middleware(m, metrics.MiddlewareConfig{})(mux)
	const workers, each = 8, 300
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			for j := range each {
				path := fmt.Sprintf("/s/%d", 200+(i*each+j)%200)
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
				if j%50 == 0 {
					page(t, m)
				}
			}
		})
	}
	wg.Wait()
	got := scrape(t, m)
	for prefix, want := range map[string]float64{
		"http_requests_total":                    workers * each,
		"http_request_duration_seconds_count":    workers * each,
		"model_inference_duration_seconds_count": workers * each,
		"prediction_errors_total":                workers * each,
		"http_requests_active":                   0,
	} {
		if n := sum(only(got, prefix)); n != want {
			t.Errorf("%s sums up to %v, want %v", prefix, n, want)
		}
	}
	if n := len(only(got, "http_requests_total")); n != 52 { // and 2xx, 3xx
		t.Errorf("%d series, want 52", n)
	}
	if n := len(only(got, "prediction_errors_total")); n != 32 {
		t.Errorf("%d error types, want 32", n)
	}
}

// A quiet observer stands for a Ballast middleware further out.
type quiet struct{}

func (*quiet) Begin(*reqstate.State, http.ResponseWriter, *http.Request) {}
func (*quiet) Finish(*reqstate.Record)                                   {}

// blank is a ResponseWriter that costs nothing.
type blank struct{ header http.Header }

func (b *blank) Header() http.Header         { return b.header }
func (b *blank) Write(p []byte) (int, error) { return len(p), nil }
func (b *blank) WriteHeader(int)             {}

func joined(next http.Handler) http.Handler {
	o := new(quiet)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { reqstate.Serve(w, r, next, o) })
}

func TestAllocations(t *testing.T) {
	leaf := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	full := mustNew(t, metrics.Config{MaxSeries: 1})
	middleware := func(m *metrics.Metrics) http.Handler {
		return metrics.Middleware(m, metrics.MiddlewareConfig{})(leaf)
	}
	overflowing := middleware(full)
	overflowing.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("PUT", "/", nil))
	w, r := &blank{make(http.Header)}, httptest.NewRequest("GET", "/", nil)
	measure := func(h http.Handler) float64 {
		return testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) })
	}

	if n := measure(middleware(mustNew(t, metrics.Config{}))); n > 2 {
		t.Errorf("as the owner of the state: %v allocations, want at most 2", n)
	}
	alone := measure(joined(leaf))
	for name, h := range map[string]http.Handler{
		"joined":               middleware(mustNew(t, metrics.Config{})),
		"OTel":                 middleware(mustNew(t, metrics.Config{Names: metrics.OTel})),
		"native":               middleware(mustNew(t, metrics.Config{NativeHistograms: true})),
		"joined, beyond bound": overflowing,
	} {
		joined(h).ServeHTTP(w, r) // builds its series
		if n := measure(joined(h)) - alone; n != 0 {
			t.Errorf("%s: %v allocations more, want 0", name, n)
		}
	}
}
