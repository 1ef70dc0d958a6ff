package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/metrics"
	"github.com/prometheus/client_golang/prometheus"
)

func mustGenAI(t testing.TB, m *metrics.Metrics, cfg metrics.GenAIConfig) *metrics.GenAI {
	t.Helper()
	if cfg.Version == 0 {
		cfg.Version = metrics.GenAI1_37
	}
	if cfg.Provider == "" {
		cfg.Provider = "ballast"
	}
	g, err := m.GenAI(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

var chat = metrics.GenAIRequest{Operation: "chat", Model: "small", ResponseModel: "small-7b"}

const chatLabels = `gen_ai_operation_name="chat",gen_ai_provider_name="ballast",gen_ai_request_model="small",gen_ai_response_model="small-7b"`

// genAI returns a sample of a histogram of chat's.
func genAI(got map[string]float64, histogram, suffix, errorType string) float64 {
	k := "gen_ai_server_" + histogram + "_seconds_" + suffix + "{"
	if histogram == "request_duration" {
		k += `error_type="` + errorType + `",`
	}
	v, ok := got[k+chatLabels+"}"]
	if !ok {
		return -1
	}
	return v
}

func TestGenAIStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mustNew(t, metrics.Config{})
		err := mustGenAI(t, m, metrics.GenAIConfig{}).Do(t.Context(), chat, func(c *metrics.GenAICall) error {
			time.Sleep(200 * time.Millisecond)
			for range 5 {
				c.FirstToken()
				c.Tokens(1)
				time.Sleep(30 * time.Millisecond)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		got := scrape(t, m)
		for _, want := range []struct {
			histogram string
			sum       float64
		}{
			{"request_duration", 0.35},
			{"time_to_first_token", 0.2},
			{"time_per_output_token", 0.15 / 4}, // what is after the first, by the four that are
		} {
			if n, s := genAI(got, want.histogram, "count", ""), genAI(got, want.histogram, "sum", ""); n != 1 || s < want.sum-1e-9 || s > want.sum+1e-9 {
				t.Errorf("%s: %v, sum %v; want 1, %v", want.histogram, n, s, want.sum)
			}
		}
	})
}

// What did not stream, has one token or failed says nothing of tokens' times.
func TestGenAIWithoutTimes(t *testing.T) {
	m := mustNew(t, metrics.Config{})
	g := mustGenAI(t, m, metrics.GenAIConfig{})
	whole := g.Begin(t.Context(), chat)
	whole.Tokens(100)
	whole.End(nil)
	whole.End(errors.New("twice"))
	one := g.Begin(t.Context(), chat)
	one.FirstToken()
	one.Tokens(1)
	one.End(nil)
	failed := g.Begin(t.Context(), chat)
	failed.FirstToken()
	failed.Tokens(10)
	failed.End(errors.New("broken"))
	got := scrape(t, m)
	for _, want := range []struct {
		histogram, errorType string
		n                    float64
	}{
		{"request_duration", "", 2}, {"request_duration", "_OTHER", 1}, {"time_to_first_token", "", 1}, {"time_per_output_token", "", 0},
	} {
		if n := genAI(got, want.histogram, "count", want.errorType); n != want.n {
			t.Errorf("%s %q: %v, want %v", want.histogram, want.errorType, n, want.n)
		}
	}
}

func TestGenAIErrors(t *testing.T) {
	m := mustNew(t, metrics.Config{})
	g := mustGenAI(t, m, metrics.GenAIConfig{ErrorType: func(err error) string { return err.Error() }})
	do := func(ctx context.Context, fn func(*metrics.GenAICall) error) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer func() { _ = recover() }()
			_ = g.Do(ctx, chat, fn)
		}()
		<-done
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	do(t.Context(), func(*metrics.GenAICall) error { panic("boom") })
	do(t.Context(), func(*metrics.GenAICall) error { runtime.Goexit(); return nil })
	do(t.Context(), func(*metrics.GenAICall) error { return errors.New("out_of_memory") })
	do(gone, func(*metrics.GenAICall) error { return gone.Err() })
	do(late, func(*metrics.GenAICall) error { return late.Err() })
	got := scrape(t, m)
	for _, errorType := range []string{"panic", "goexit", "out_of_memory", "canceled", "timeout"} {
		if n := genAI(got, "request_duration", "count", errorType); n != 1 {
			t.Errorf("%s: %v", errorType, n)
		}
	}
	if n := len(only(got, "gen_ai_server_request_duration_seconds_count")); n != 5 {
		t.Errorf("%d series", n)
	}
}

// Clients choose models' names.
func TestGenAIIsBounded(t *testing.T) {
	m := mustNew(t, metrics.Config{MaxSeries: 10})
	g := mustGenAI(t, m, metrics.GenAIConfig{})
	for i := range 1000 {
		r := metrics.GenAIRequest{Operation: "chat", Model: fmt.Sprint("m", i)}
		g.Begin(t.Context(), r).End(nil)
		g.Begin(t.Context(), r).End(errors.New("x"))
	}
	g.Begin(t.Context(), metrics.GenAIRequest{Operation: "chat", Model: strings.Repeat("x", 257)}).End(nil)
	g.Begin(t.Context(), metrics.GenAIRequest{Operation: "chat", Model: "\xff"}).End(nil)
	got := scrape(t, m)
	if n := len(only(got, "gen_ai_server_request_duration_seconds_count")); n != 12 {
		t.Errorf("%d series, want 10 and two of others", n)
	}
	if n := sum(only(got, "gen_ai_server_request_duration_seconds_count")); n != 2002 {
		t.Errorf("%v counted", n)
	}
	if n := got[`metrics_overflow_total{of="gen_ai"}`]; n != 2002-10 {
		t.Errorf("%v over", n)
	}
}

func TestGenAIVersions(t *testing.T) {
	m := mustNew(t, metrics.Config{})
	mustGenAI(t, m, metrics.GenAIConfig{Version: metrics.GenAI1_36, Provider: "a"}).Begin(t.Context(), chat).End(nil)
	mustGenAI(t, m, metrics.GenAIConfig{Version: metrics.GenAI1_36, Provider: "b"}).Begin(t.Context(), chat).End(nil)
	body := page(t, m)
	if strings.Count(body, `seconds_count{error_type="",gen_ai_operation_name="chat",gen_ai_request_model="small",gen_ai_response_model="small-7b",gen_ai_system=`) != 2 ||
		strings.Contains(body, "gen_ai_provider_name") {
		t.Error(body)
	}
	for name, cfg := range map[string]metrics.GenAIConfig{
		"GenAIConfig.Version: 0 is neither":  {Provider: "a"},
		"GenAIConfig.Provider: \"\" is not":  {Version: metrics.GenAI1_36},
		"GenAIConfig.Version: metrics: Conf": {Version: metrics.GenAI1_37, Provider: "a"},
	} {
		if g, err := m.GenAI(cfg); err == nil || g != nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v, %v", name, g, err)
		}
	}
	m.Close()
	if _, err := m.GenAI(metrics.GenAIConfig{Version: metrics.GenAI1_36, Provider: "a"}); err == nil {
		t.Error("of a closed Metrics")
	}
	own := prometheus.NewRegistry()
	own.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "gen_ai_server_request_duration_seconds", Help: "Mine."}))
	if _, err := mustNew(t, metrics.Config{Registerer: own}).GenAI(metrics.GenAIConfig{Version: metrics.GenAI1_36, Provider: "a"}); err == nil {
		t.Error("with another collector in the way")
	}
}

// The advice of the conventions, to the letter.
func TestGenAIBuckets(t *testing.T) {
	m := mustNew(t, metrics.Config{Registerer: prometheus.NewRegistry()})
	c := mustGenAI(t, m, metrics.GenAIConfig{}).Begin(t.Context(), chat)
	c.FirstToken()
	c.End(nil)
	body := page(t, m)
	for histogram, bounds := range map[string]string{
		"request_duration":      "0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, +Inf",
		"time_per_output_token": "0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, +Inf",
		"time_to_first_token":   "0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, +Inf",
	} {
		var got []string
		for line := range strings.Lines(body) {
			if _, le, ok := strings.Cut(line, `le="`); ok && strings.HasPrefix(line, "gen_ai_server_"+histogram+"_seconds_bucket") {
				got = append(got, le[:strings.IndexByte(le, '"')])
			}
		}
		if s := strings.Join(got, ", "); s != bounds {
			t.Errorf("%s: %s", histogram, s)
		}
	}
}

func TestGenAIExemplar(t *testing.T) {
	m := mustNew(t, metrics.Config{})
	g := mustGenAI(t, m, metrics.GenAIConfig{})
	traced(true, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		c := g.Begin(r.Context(), chat)
		c.FirstToken()
		c.Tokens(2)
		c.End(nil)
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	_, body := fetch(t, m, openMetrics)
	if n := strings.Count(string(body), `trace_id="ab`); n != 3 {
		t.Errorf("%d exemplars, want one a histogram", n)
	}
}

func TestNilGenAI(t *testing.T) {
	var g *metrics.GenAI
	c := g.Begin(t.Context(), chat)
	c.FirstToken()
	c.Tokens(1)
	c.End(nil)
	ran := false
	if err := g.Do(t.Context(), chat, func(*metrics.GenAICall) error { ran = true; return nil }); err != nil || !ran {
		t.Errorf("%v, %t", err, ran)
	}
}

func TestGenAIConcurrentUse(t *testing.T) {
	m := mustNew(t, metrics.Config{})
	c := mustGenAI(t, m, metrics.GenAIConfig{}).Begin(t.Context(), chat)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				c.FirstToken()
				c.Tokens(1)
			}
			c.End(nil)
		})
	}
	wg.Wait()
	if n := genAI(scrape(t, m), "request_duration", "count", ""); n != 1 {
		t.Errorf("%v calls", n)
	}
}

func TestGenAIAllocations(t *testing.T) {
	c := mustGenAI(t, mustNew(t, metrics.Config{}), metrics.GenAIConfig{}).Begin(t.Context(), chat)
	if n := testing.AllocsPerRun(100, func() {
		c.FirstToken()
		c.Tokens(1)
	}); n != 0 {
		t.Errorf("%v allocations a token, want 0", n)
	}
}
