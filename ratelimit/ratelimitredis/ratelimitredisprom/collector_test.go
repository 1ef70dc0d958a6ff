package ratelimitredisprom_test

import (
	"errors"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/redis/go-redis/v9"

	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/ratelimit/ratelimitredis"
	"github.com/ballast-go/ballast/ratelimit/ratelimitredis/ratelimitredisprom"
)

// source stands for a limiter.
type source struct {
	stats ratelimitredis.Stats
	asked int
}

func (s *source) Stats() ratelimitredis.Stats {
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

const exposition = `ratelimitredis_calls_total{limiter="api",outcome="allowed"} 1
ratelimitredis_calls_total{limiter="api",outcome="canceled"} 8
ratelimitredis_calls_total{limiter="api",outcome="denied"} 2
ratelimitredis_calls_total{limiter="api",outcome="failed_closed"} 5
ratelimitredis_calls_total{limiter="api",outcome="failed_open"} 4
ratelimitredis_calls_total{limiter="api",outcome="fallback_allowed"} 6
ratelimitredis_calls_total{limiter="api",outcome="fallback_denied"} 7
ratelimitredis_calls_total{limiter="api",outcome="refused"} 9
ratelimitredis_combined_calls_total{limiter="api"} 14
ratelimitredis_down_shards{limiter="api"} 20
ratelimitredis_in_flight_round_trips{limiter="api"} 22
ratelimitredis_lease_holders{limiter="api"} 24
ratelimitredis_leased_calls_total{limiter="api"} 3
ratelimitredis_leased_keys{limiter="api"} 23
ratelimitredis_leases_total{event="lost",limiter="api"} 19
ratelimitredis_leases_total{event="returned",limiter="api"} 18
ratelimitredis_leases_total{event="taken",limiter="api"} 17
ratelimitredis_outages_total{limiter="api"} 15
ratelimitredis_recoveries_total{limiter="api"} 16
ratelimitredis_returns_total{limiter="api",outcome="booked"} 10
ratelimitredis_returns_total{limiter="api",outcome="lost"} 11
ratelimitredis_round_trips_total{limiter="api"} 13
ratelimitredis_timeouts_total{limiter="api"} 12
ratelimitredis_waiting_calls{limiter="api"} 21
`

func TestExposition(t *testing.T) {
	s := &source{}
	v := reflect.ValueOf(&s.stats).Elem()
	for i := range v.NumField() { // every field has a value of its own, and so its own series
		if f := v.Field(i); f.CanUint() {
			f.SetUint(uint64(i + 1))
		} else {
			f.SetInt(int64(i + 1))
		}
	}
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(ratelimitredisprom.NewCollector("api", s))
	text := page(t, r)
	var samples strings.Builder
	for line := range strings.Lines(text) {
		if line[0] != '#' {
			samples.WriteString(line)
		}
	}
	if samples.String() != exposition {
		t.Errorf("got:\n%s\nwant:\n%s", samples.String(), exposition)
	}
	if s.asked != 1 {
		t.Errorf("a scrape took %d snapshots, want one", s.asked)
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
}

func TestSeveralLimiters(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(ratelimitredisprom.NewCollector("a", &source{}), ratelimitredisprom.NewCollector("b", &source{}))
	var already prometheus.AlreadyRegisteredError
	if err := r.Register(ratelimitredisprom.NewCollector("b", &source{})); !errors.As(err, &already) {
		t.Errorf("a second limiter of the same name: %v", err)
	}
}

// A real limiter, whose Redis is not there.
func TestLimiter(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer client.Close()
	l, err := ratelimitredis.New(client, ratelimitredis.Config{Limit: ratelimit.PerSecond(1)})
	if err != nil {
		t.Fatal(err)
	}
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(ratelimitredisprom.NewCollector("api", l))
	for range 3 {
		if _, err := l.AllowN(t.Context(), "key", 1); !errors.Is(err, ratelimitredis.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
	text := page(t, r)
	for _, want := range []string{
		`ratelimitredis_calls_total{limiter="api",outcome="failed_closed"} 3` + "\n",
		`ratelimitredis_outages_total{limiter="api"} 1` + "\n",
		`ratelimitredis_down_shards{limiter="api"} 1` + "\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in:\n%s", want, text)
		}
	}
}
