package stackbench

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Each contender does what it is measured at.
func TestEveryContender(t *testing.T) {
	for _, table := range allTables() {
		t.Run(table.Name, func(t *testing.T) {
			if len(table.Contenders) < 4 {
				t.Errorf("%d contenders", len(table.Contenders))
			}
			for _, c := range table.Contenders {
				s, err := table.turn(c, time.Millisecond)
				if err != nil || s.Ops < table.Batch {
					t.Errorf("%s: %d operations, %v", c.Name, s.Ops, err)
				}
			}
		})
	}
}

// A rig is a stack that tests look into.
type rig struct {
	world
	logs    bytes.Buffer
	h       http.Handler
	token   string
	closeIt func()
}

func newRig(t *testing.T, build func(world) (stack, func(), error), service http.Handler) *rig {
	t.Helper()
	r := &rig{}
	r.world = world{signer: newSigner(), logs: &r.logs, probe: &probe{}}
	st, closeIt, err := build(r.world)
	if err != nil {
		t.Fatal(err)
	}
	r.h, r.closeIt = st.chain(service), closeIt
	if r.token, err = r.signer.token(tenYears); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) close() {
	if r.closeIt != nil {
		r.closeIt()
		r.closeIt = nil
	}
}

func (r *rig) get(token string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r.h.ServeHTTP(w, request(token))
	return w
}

func (r *rig) scrape(t *testing.T) string {
	t.Helper()
	text, err := r.probe.series()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A stack that left something out would not do the same work.
func TestEveryStackDoesEverything(t *testing.T) {
	for _, p := range everybody() {
		t.Run(p.name, func(t *testing.T) {
			r := newRig(t, p.new, service())
			defer r.close()
			if w := r.get(r.token); w.Code != http.StatusOK || w.Body.String() != string(answer) || len(w.Header()["X-Request-Id"]) != 1 && !strings.HasPrefix(p.name, "slog-http") {
				t.Errorf("%d %v %q", w.Code, w.Header(), w.Body)
			}
			if n := strings.Count(r.logs.String(), "\n"); n != 1 {
				t.Errorf("%d records: %s", n, &r.logs)
			}
			for _, want := range []string{"POST", route, "200", "203.0.113.77", "console/2.7"} {
				if !strings.Contains(r.logs.String(), want) {
					t.Errorf("%s is not in %s", want, &r.logs)
				}
			}
			series := r.scrape(t)
			for _, want := range []string{"http_requests_total{", "http_request_duration_seconds_count{", "http_requests_active"} {
				if !strings.Contains(series, want) {
					t.Errorf("%s is not in %s", want, series)
				}
			}
			if !strings.Contains(series, `"200"`) || !strings.Contains(strings.ToLower(series), `method="post"`) {
				t.Errorf("no status or method in %s", series)
			}
		})
	}
}

// What comes without a good token gets nowhere, and is counted and logged.
func TestEveryStackRefuses(t *testing.T) {
	for _, p := range everybody() {
		r := newRig(t, p.new, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Errorf("%s: it got through", p.name) }))
		expired, err := r.signer.token(-10 * time.Minute) // beyond every leeway
		if err != nil {
			t.Fatal(err)
		}
		foreign, err := newSigner().token(tenYears)
		if err != nil {
			t.Fatal(err)
		}
		for _, token := range []string{"", expired, foreign, r.token + "A"} {
			if w := r.get(token); w.Code != http.StatusUnauthorized {
				t.Errorf("%s: %d for %q", p.name, w.Code, token)
			}
		}
		if n := strings.Count(r.logs.String(), "401"); n < 4 || !strings.Contains(r.scrape(t), `"401"`) {
			t.Errorf("%s: refusals are not logged %d, or counted: %s", p.name, n, r.scrape(t))
		}
		r.close()
	}
}

// A panic is answered with 500, and the breakers open after enough failures.
func TestEveryStackRecovers(t *testing.T) {
	for _, p := range everybody() {
		calls := 0
		r := newRig(t, p.new, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			calls++
			if calls == 1 {
				panic("at the disco")
			}
			w.WriteHeader(http.StatusInternalServerError)
		}))
		if w := r.get(r.token); w.Code != http.StatusInternalServerError {
			t.Errorf("%s: a panic is answered by %d", p.name, w.Code)
		}
		last := 0
		for range 100 {
			last = r.get(r.token).Code
		}
		if last != http.StatusServiceUnavailable || calls > 50 {
			t.Errorf("%s: the breaker is not open: %d after %d calls", p.name, last, calls)
		}
		r.close()
	}
}

// Of many requests about one in a hundred is traced, and its ids are in the log.
func TestEveryStackTraces(t *testing.T) {
	const requests = 20_000
	for _, p := range everybody() {
		r := newRig(t, p.new, service())
		for range requests {
			r.logs.Reset()
			r.get(r.token)
		}
		// The others log ids of spans that are recorded only, or none.
		if knows := p.name == Ours || p.name == "zap + prom by hand"; knows && !strings.Contains(r.logs.String(), `"trace_id":"`) {
			t.Errorf("%s: no trace id in %s", p.name, &r.logs)
		}
		r.close()
		if n := r.probe.spans.spans; n < requests/200 || n > requests/50 {
			t.Errorf("%s: %d of %d requests are traced", p.name, n, requests)
		}
	}
}

// A layer that passed everything on untouched would cost nothing.
func TestEveryLayerWorks(t *testing.T) {
	for _, v := range logVariants() {
		r := newRig(t, alone(v), service())
		if w := r.get(r.token); w.Code != http.StatusOK || w.Header().Get("X-Request-Id") == "" && v.name != "slog-http" {
			t.Errorf("%s: %d, request id %q", v.name, w.Code, w.Header().Get("X-Request-Id"))
		}
		wanted := []string{"POST", "200", "203.0.113.77", "console/2.7"}
		if v.name == "httplog, concise" {
			wanted = wanted[:2]
		}
		for _, want := range wanted {
			if strings.Count(r.logs.String(), "\n") != 1 || !strings.Contains(r.logs.String(), want) {
				t.Errorf("%s: %s is not in %s", v.name, want, &r.logs)
			}
		}
		r.close()
	}
	for _, v := range seriesVariants() {
		r := newRig(t, alone(v), service())
		r.get(r.token)
		if series := r.scrape(t); !strings.Contains(series, "duration") || !strings.Contains(series, "200") {
			t.Errorf("%s: %s", v.name, series)
		}
		r.close()
	}
	for _, v := range traceVariants() {
		var got bool
		r := newRig(t, alone(v), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = hasSpan(r) }))
		r.get(r.token)
		if got != !strings.Contains(v.name, "noop") {
			t.Errorf("%s: a span in the context: %v", v.name, got)
		}
		r.close()
	}
}

// alone is a stack of one layer.
func alone(v variant) func(world) (stack, func(), error) {
	return func(w world) (stack, func(), error) {
		m, closeIt := v.layer(w)
		return stack{logs: m}, closeIt, nil
	}
}

// A wrong answer must end a measurement.
func TestWrongAnswersEndAMeasurement(t *testing.T) {
	refuses := stack{identity: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write(answer)
		})
	}}
	for name, open := range map[string]opener{"directly": directly, "over loopback": overLoopback, "in a stream": inStream} {
		op, closeIt, err := open(refuses, "")
		if closeIt != nil {
			closeIt()
		}
		if err == nil {
			t.Errorf("%s: no error, %v", name, op)
		}
	}
}

func TestIdleStreams(t *testing.T) {
	i, err := measureIdle(50)
	if err != nil || len(i.beyond) != len(everybody()) || i.bare < 4<<10 {
		t.Errorf("%+v, %v", i, err)
	}
}

// Latency is from when a request was to come: one that is busy for long makes all
// that come meanwhile late.
func TestOpenLoop(t *testing.T) {
	const stall = 50 * time.Millisecond
	var one sync.Mutex
	stalled := false // guarded by one
	h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		one.Lock()
		defer one.Unlock()
		for begin := time.Now(); !stalled && time.Since(begin) < stall; {
		}
		stalled = true
	})
	got, err := openLoop(h, "", 1000, 100*time.Millisecond, 1)
	if err != nil || got.p999 < stall/2 || got.p50 > got.p99 || got.p99 > got.p999 {
		t.Errorf("%+v, %v", got, err)
	}
	refuses := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) })
	if _, err := openLoop(refuses, "", 1000, 20*time.Millisecond, 1); err == nil {
		t.Error("refusals are quick answers")
	}
}
