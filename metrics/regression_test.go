package metrics_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ballast-go/ballast/metrics"
	"github.com/prometheus/client_golang/prometheus"
)

// A meddler calls f before each Unregister, of which it lets through all or none.
type meddler struct {
	*prometheus.Registry
	f     func()
	stuck bool
}

func (r *meddler) Unregister(c prometheus.Collector) bool {
	if r.f != nil {
		r.f()
	}
	return !r.stuck && r.Registry.Unregister(c)
}

// What is attached goes before the series do: a New in the middle of a Close, which waits
// as long as they are there, would be given what the Close then takes away.
func TestCloseTakesSeriesLast(t *testing.T) {
	r := &meddler{Registry: prometheus.NewRegistry()}
	m := mustNew(t, metrics.Config{Registerer: r})
	metrics.NewTransport(answers(200, "ok"), m, metrics.TransportConfig{Name: "embedder"})
	calls := 0
	r.f = func() {
		calls++
		if got := scrape(t, m); len(only(got, "http_requests_active")) == 0 {
			t.Errorf("gone before %v", got)
		}
	}
	m.Close()
	if left, err := r.Gather(); err != nil || len(left) != 0 || calls != 2 {
		t.Errorf("left behind after %d calls: %v, %v", calls, left, err)
	}
}

func TestRegistererThatDoesNotUnregister(t *testing.T) {
	r := &meddler{Registry: prometheus.NewRegistry(), stuck: true}
	mustNew(t, metrics.Config{Registerer: r}).Close()
	if _, err := metrics.New(metrics.Config{Registerer: r}); err == nil || !strings.Contains(err.Error(), "does not unregister") {
		t.Errorf("New = %v", err)
	}
}

// What kind calls canceled, and a deadline that a backend reports in its own words.
func TestTimedKinds(t *testing.T) {
	m := mustNew(t, metrics.Config{})
	model := mustModel(t, m, metrics.ModelInfo{ID: "m"})
	fail := metrics.Timed(model, func(context.Context, int) (int, error) { return 0, errors.New("code = DeadlineExceeded") },
		func(error) string { return "canceled" })
	fail(t.Context(), 0)
	late, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	fail(late, 0)
	got := scrape(t, m)
	if c, d := got[failures("m", "canceled")], got[failures("m", "timeout")]; c != 1 || d != 1 {
		t.Errorf("%v canceled, %v timeout; want 1 and 1", c, d)
	}
}

// A base that breaks its contract leaves no active request behind.
func TestTransportOfNothing(t *testing.T) {
	m := mustNew(t, metrics.Config{})
	base := roundTrip(func(*http.Request) (*http.Response, error) { return nil, nil })
	client := &http.Client{Transport: metrics.NewTransport(base, m, metrics.TransportConfig{Name: "embedder"})}
	if _, err := client.Get("http://any"); err == nil {
		t.Error("no error")
	}
	got := scrape(t, m)
	if n, a := got[called("GET", "error")], got[`http_client_requests_active{client="embedder"}`]; n != 1 || a != 0 {
		t.Errorf("%v counted, %v active", n, a)
	}
}

// An http.Client's Timeout is one, whether it comes before the answer or in its body.
func TestClientTimeout(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		s := newServer(t, http2, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/begun" {
				flush(w)
			}
			<-r.Context().Done()
		}))
		m := mustNew(t, metrics.Config{})
		client := &http.Client{Timeout: 20 * time.Millisecond,
			Transport: metrics.NewTransport(s.Client().Transport, m, metrics.TransportConfig{Name: "embedder"})}
		const workers, each = 8, 20
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() {
				for i := range each {
					resp, err := client.Get(s.URL + [...]string{"/none", "/begun"}[i%2])
					if err == nil {
						_, err = io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
					if err == nil {
						t.Error("no timeout")
					}
				}
			})
		}
		wg.Wait()
		if got := only(scrape(t, m), "http_client_requests_total"); got[called("GET", "timeout")] != workers*each {
			t.Errorf("%v, want %d timeouts", got, workers*each)
		}
	})
}

type closer struct {
	http.RoundTripper
	closed int
}

func (c *closer) CloseIdleConnections() { c.closed++ }

// An http.Client finds what closes the connections that base keeps.
func TestCloseIdleConnections(t *testing.T) {
	m, base := mustNew(t, metrics.Config{}), &closer{RoundTripper: answers(200, "")}
	for _, base := range []http.RoundTripper{base, answers(200, "")} {
		(&http.Client{Transport: metrics.NewTransport(base, m, metrics.TransportConfig{Name: "embedder"})}).CloseIdleConnections()
	}
	if base.closed != 1 {
		t.Errorf("closed %d times, want once", base.closed)
	}
}

// Versions of HTTP that there are not use up room for one series alone.
func TestClaimedProtocols(t *testing.T) {
	m := mustNew(t, metrics.Config{Names: metrics.OTel, MaxSeries: 4})
	s := newServer(t, false, metrics.Middleware(m, metrics.MiddlewareConfig{})(http.NotFoundHandler()))
	for minor := range 10 {
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET / HTTP/1.%d\r\nHost: a\r\nConnection: close\r\n\r\n", minor)
		if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != 404 {
			t.Errorf("HTTP/1.%d: %v, %v", minor, resp, err)
		}
		c.Close()
	}
	s.wait()
	if n := scrape(t, m)[`metrics_overflow_total{of="requests"}`]; n != 0 {
		t.Errorf("%v had no room beside 1.0, 1.1 and all else", n)
	}
}

// A flood of rejections hides no failures where there is no more room for series.
func TestRejectionsBeyondTheBound(t *testing.T) {
	for _, names := range []metrics.Names{metrics.Guide, metrics.OTel} {
		m := mustNew(t, metrics.Config{MaxSeries: 1, Names: names})
		middleware := metrics.Middleware(m, metrics.MiddlewareConfig{})
		for _, status := range []int{200, 401, 403, 404, 429} {
			middleware(turnedAway(status, map[bool]string{true: "refused"}[status == 429])).
				ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		}
		got := scrape(t, m)
		for _, status := range []string{"401", "403", "429", "4xx"} {
			series := total("GET", "_other", status)
			if names == metrics.OTel {
				series = otelCount("GET", "_other", status, "", "")
			}
			if got[series] != 1 {
				t.Errorf("%s: %v", series, got[series])
			}
		}
	}
}

// A call that its caller gave up is not asked about, and an error that ErrorType calls so is.
func TestGenAIErrorTypes(t *testing.T) {
	m := mustNew(t, metrics.Config{})
	g, err := m.GenAI(metrics.GenAIConfig{Version: metrics.GenAI1_37, Provider: "p", ErrorType: func(error) string { return "backend" }})
	if err != nil {
		t.Fatal(err)
	}
	late, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, ctx := range []context.Context{t.Context(), late, gone} {
		g.Begin(ctx, metrics.GenAIRequest{Operation: "chat", Model: "m"}).End(io.EOF)
	}
	got := scrape(t, m)
	for _, errorType := range []string{"backend", "timeout", "canceled"} {
		k := `gen_ai_server_request_duration_seconds_count{error_type="` + errorType + `",gen_ai_operation_name="chat",gen_ai_provider_name="p",gen_ai_request_model="m",gen_ai_response_model=""}`
		if got[k] != 1 {
			t.Errorf("%s: %v", errorType, got[k])
		}
	}
}
