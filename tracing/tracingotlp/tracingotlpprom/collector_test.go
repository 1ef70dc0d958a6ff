package tracingotlpprom_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/ballast-go/ballast/tracing/tracingotlp"
	"github.com/ballast-go/ballast/tracing/tracingotlp/tracingotlpprom"
)

// source stands for a provider.
type source struct {
	stats tracingotlp.Stats
	asked int
}

func (s *source) Stats() tracingotlp.Stats {
	s.asked++
	return s.stats
}

func page(t *testing.T, r *prometheus.Registry) string {
	t.Helper()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(r, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("scrape: status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

const exposition = `tracingotlp_open_spans{provider="p"} 1
tracingotlp_queue_bytes{provider="p"} 13
tracingotlp_queue_capacity_spans{provider="p"} 14
tracingotlp_queue_spans{provider="p"} 12
tracingotlp_requests_total{outcome="accepted",provider="p"} 2
tracingotlp_requests_total{outcome="failed",provider="p"} 9
tracingotlp_spans_started_total{provider="p"} 101
tracingotlp_spans_total{outcome="dropped_closed",provider="p"} 8
tracingotlp_spans_total{outcome="dropped_full",provider="p"} 6
tracingotlp_spans_total{outcome="dropped_large",provider="p"} 7
tracingotlp_spans_total{outcome="exported",provider="p"} 3
tracingotlp_spans_total{outcome="failed",provider="p"} 5
tracingotlp_spans_total{outcome="rejected",provider="p"} 4
`

func TestSeries(t *testing.T) {
	s := &source{stats: tracingotlp.Stats{
		Started: 101, Ended: 100, Exported: 3, Rejected: 4, Failed: 5, DroppedFull: 6, DroppedLarge: 7, DroppedClosed: 8,
		Requests: 11, FailedRequests: 9, Queued: 12, QueuedBytes: 13, QueueSize: 14,
	}}
	for i := range reflect.TypeFor[tracingotlp.Stats]().NumField() {
		if reflect.ValueOf(s.stats).Field(i).IsZero() {
			t.Errorf("the test leaves %s out", reflect.TypeFor[tracingotlp.Stats]().Field(i).Name)
		}
	}
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(tracingotlpprom.NewCollector("p", s))
	var got strings.Builder
	for line := range strings.Lines(page(t, r)) {
		if !strings.HasPrefix(line, "#") {
			got.WriteString(line)
		}
	}
	if got.String() != exposition {
		t.Errorf("got:\n%s\nwant:\n%s", got.String(), exposition)
	}
	if s.asked != 1 {
		t.Errorf("a scrape took %d snapshots", s.asked)
	}
	problems, err := promlint.New(strings.NewReader(page(t, r))).Lint()
	if err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}

func TestTwice(t *testing.T) {
	r := prometheus.NewRegistry()
	c := tracingotlpprom.NewCollector("p", &source{})
	r.MustRegister(c, tracingotlpprom.NewCollector("other", &source{}))
	if err := r.Register(tracingotlpprom.NewCollector("p", &source{})); !errors.As(err, new(prometheus.AlreadyRegisteredError)) {
		t.Errorf("a second collector of one name: %v", err)
	}
	r.Unregister(c)
	if err := r.Register(tracingotlpprom.NewCollector("p", &source{})); err != nil {
		t.Error(err)
	}
}

func ExampleNewCollector() {
	p, err := tracingotlp.New(context.Background(), tracingotlp.Config{ServiceName: "model"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close(context.Background())
	registry := prometheus.NewRegistry()
	fmt.Println(registry.Register(tracingotlpprom.NewCollector("default", p)))
	// Output: <nil>
}
