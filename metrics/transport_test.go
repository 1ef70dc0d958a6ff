package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ballast-go/ballast/metrics"
	"github.com/prometheus/client_golang/prometheus"
)

// exercise puts values into every family that m can have.
func exercise(t testing.TB, m *metrics.Metrics) {
	t.Helper()
	for i, h := range []http.HandlerFunc{turnedAway(503, "shed"), turnedAway(500, ""), func(http.ResponseWriter, *http.Request) {}} {
		traced(true, metrics.Middleware(m, metrics.MiddlewareConfig{})(h)).
			ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", fmt.Sprint("/", i), nil))
	}
	model := mustModel(t, m, metrics.ModelInfo{ID: "digits", Version: "1.0.0", Framework: "go"})
	model.Observe(20 * time.Millisecond)
	model.CountError("timeout")
	client := &http.Client{Transport: metrics.NewTransport(answers(200, "ok"), m, metrics.TransportConfig{Name: "embedder:8080"})}
	if resp, err := client.Get("http://any"); err != nil {
		t.Error(err)
	} else {
		resp.Body.Close()
	}
	g, err := m.GenAI(metrics.GenAIConfig{Version: metrics.GenAI1_37, Provider: "ballast"})
	if err != nil {
		t.Fatal(err)
	}
	_ = g.Do(context.Background(), metrics.GenAIRequest{Operation: "chat", Model: "m"}, func(c *metrics.GenAICall) error {
		c.FirstToken()
		c.Tokens(3)
		return nil
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answers(status int, body string) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Request: r,
			Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

func called(method, status string) string {
	return `http_client_requests_total{client="embedder",method="` + method + `",status="` + status + `"}`
}

// What becomes of a call over a real connection is what it is counted as, once.
func TestTransport(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		mux := http.NewServeMux()
		mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
		mux.HandleFunc("/empty", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
		mux.HandleFunc("/busy", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) })
		mux.HandleFunc("/bad", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
		mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) { flush(w); panic(http.ErrAbortHandler) })
		mux.HandleFunc("/none", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		mux.HandleFunc("/event", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "data: 1\n\nevent: error\ndata: {}\n\n")
		})
		mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
			flush(w)
			<-r.Context().Done()
		})
		s := newServer(t, http2, mux)
		m := mustNew(t, metrics.Config{})
		base := s.Client().Transport.(*http.Transport)
		client := &http.Client{Transport: metrics.NewTransport(base, m, metrics.TransportConfig{Name: "embedder"})}
		base.DisableKeepAlives = true
		get := func(ctx context.Context, path string) *http.Response {
			r, _ := http.NewRequestWithContext(ctx, "GET", s.URL+path, nil)
			resp, err := client.Do(r)
			if err != nil {
				return nil
			}
			return resp
		}
		for _, path := range []string{"/ok", "/empty", "/busy", "/bad", "/cut", "/none", "/event"} {
			if resp := get(t.Context(), path); resp != nil {
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				resp.Body.Close()
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		resp := get(ctx, "/endless")
		if n := scrape(t, m)[`http_client_requests_active{client="embedder"}`]; n != 1 {
			t.Errorf("%v active with an answer that goes on", n)
		}
		cancel()
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		resp = get(t.Context(), "/endless") // whose reader has had enough
		resp.Body.Close()
		ctx, cancel = context.WithDeadline(t.Context(), time.Now())
		defer cancel()
		if get(ctx, "/ok") != nil {
			t.Error("an answer after the deadline")
		}
		got := scrape(t, m)
		for status, want := range map[string]float64{
			"200": 2, "204": 1, "429": 1, "500": 1, "error": 2, "error-event": 1, "canceled": 1, "timeout": 1,
		} {
			if n := got[called("GET", status)]; n != want {
				t.Errorf("%s: %v, want %v", status, n, want)
			}
		}
		if n := sum(only(got, "http_client_requests_total")); n != 10 {
			t.Errorf("%v in all, want 10", n)
		}
		if n := sum(only(got, "http_client_request_duration_seconds_count")); n != 10 {
			t.Errorf("%v durations", n)
		}
		if n := got[`http_client_requests_active{client="embedder"}`]; n != 0 {
			t.Errorf("%v active at the end", n)
		}
	})
}

func TestTransportOTel(t *testing.T) {
	m := mustNew(t, metrics.Config{Names: metrics.OTel})
	for status := range 1200 {
		rt := metrics.NewTransport(answers(status, ""), m, metrics.TransportConfig{Name: "embedder.ml.svc:8080"})
		resp, err := rt.RoundTrip(httptest.NewRequest("GET", fmt.Sprintf("http://h%d", status), nil))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	broken := metrics.NewTransport(roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("broken") }),
		m, metrics.TransportConfig{Name: "other"})
	if _, err := broken.RoundTrip(httptest.NewRequest("GET", "http://any", nil)); err == nil {
		t.Error("no error")
	}
	got := scrape(t, m)
	k := func(address, port, status, errorType, protocol string) string {
		return fmt.Sprintf(`http_client_request_duration_seconds_count{error_type="%s",http_request_method="GET",http_response_status_code="%s",network_protocol_version="%s",server_address="%s",server_port="%s"}`,
			errorType, status, protocol, address, port)
	}
	for series, want := range map[string]float64{
		k("embedder.ml.svc", "8080", "200", "", "1.1"):    1,
		k("embedder.ml.svc", "8080", "404", "404", "1.1"): 1,
		k("embedder.ml.svc", "8080", "429", "", "1.1"):    1,
		k("embedder.ml.svc", "8080", "500", "500", "1.1"): 1,
		k("_other", "", "0xx", "_OTHER", ""):              101, // 1000 to 1099 have statuses' room no more, nor has the broken one
	} {
		if got[series] != want && !strings.Contains(series, "_other") {
			t.Errorf("%s is %v, want %v", series, got[series], want)
		}
	}
	if n := len(only(got, "http_client_request_duration_seconds_count")); n > 1010 {
		t.Errorf("%d series", n)
	}
	if n := got[`metrics_overflow_total{of="clients"}`]; n != 201 {
		t.Errorf("%v over, want 201", n)
	}
	if n := sum(only(got, "http_client_request_duration_seconds_count")); n != 1201 {
		t.Errorf("%v counted", n)
	}
}

func TestTransportPanicsAndGoexit(t *testing.T) {
	m := mustNew(t, metrics.Config{})
	for _, leave := range []func(){func() { panic("boom") }, runtime.Goexit} {
		rt := metrics.NewTransport(roundTrip(func(*http.Request) (*http.Response, error) { leave(); return nil, nil }),
			m, metrics.TransportConfig{Name: "embedder"})
		done := make(chan any, 1)
		go func() {
			defer func() { done <- recover() }()
			rt.RoundTrip(httptest.NewRequest("PUT", "http://any", nil))
		}()
		<-done
	}
	got := scrape(t, m)
	if got[called("PUT", "error")] != 2 || got[`http_client_requests_active{client="embedder"}`] != 0 {
		t.Errorf("%v", only(got, "http_client"))
	}
}

// What was upgraded is passed on as it is, which a wrapper could not be written to.
func TestTransportUpgrade(t *testing.T) {
	m := mustNew(t, metrics.Config{})
	type conn struct{ io.ReadWriteCloser }
	rt := metrics.NewTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 101, Body: conn{}}, nil
	}), m, metrics.TransportConfig{Name: "embedder"})
	resp, err := rt.RoundTrip(httptest.NewRequest("GET", "http://any", nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := resp.Body.(conn); !ok {
		t.Errorf("the body is a %T", resp.Body)
	}
	if n := scrape(t, m)[called("GET", "101")]; n != 1 {
		t.Errorf("%v counted", n)
	}
}

func TestTransportConfig(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := mustNew(t, metrics.Config{Registerer: registry})
	wants := func(name string, f func()) {
		t.Helper()
		defer func() {
			if recover() == nil {
				t.Errorf("%s: no panic", name)
			}
		}()
		f()
	}
	wants("nil", func() { metrics.NewTransport(nil, nil, metrics.TransportConfig{Name: "x"}) })
	wants("no name", func() { metrics.NewTransport(nil, m, metrics.TransportConfig{}) })
	wants("long name", func() { metrics.NewTransport(nil, m, metrics.TransportConfig{Name: strings.Repeat("x", 257)}) })
	wants("odd name", func() { metrics.NewTransport(nil, m, metrics.TransportConfig{Name: "\xff"}) })
	taken := prometheus.NewRegistry()
	taken.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "http_client_requests_total", Help: "Mine."}))
	wants("in the way", func() {
		metrics.NewTransport(nil, mustNew(t, metrics.Config{Registerer: taken}), metrics.TransportConfig{Name: "x"})
	})
	metrics.NewTransport(nil, m, metrics.TransportConfig{Name: "x"})
	m.Close()
	if metrics.NewTransport(nil, m, metrics.TransportConfig{Name: "x"}) == nil {
		t.Error("none of a closed Metrics")
	}
	if left, err := registry.Gather(); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
