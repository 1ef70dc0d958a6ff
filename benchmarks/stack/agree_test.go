package stackbench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/codes"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/batching"
	"github.com/ballast-go/ballast/breaker"
	"github.com/ballast-go/ballast/internal/spantest"
	"github.com/ballast-go/ballast/logging"
	"github.com/ballast-go/ballast/metrics"
	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/ratelimit/concurrency"
	"github.com/ballast-go/ballast/tracing"
)

// The layers in the order that their packages document, by bit of a subset.
var layerNames = []string{"recover", "tracing", "logging", "metrics", "auth", "ratelimit", "concurrency", "breaker"}

// An order is the layers of a chain, the outermost first.
type order []int

func (o order) String() string {
	var names []string
	for _, i := range o {
		names = append(names, layerNames[i])
	}
	return strings.Join(names, " ")
}

// orders are all subsets of the layers in the documented order, and n random ones in
// any.
func orders(n int) (all []order) {
	for set := range 1 << len(layerNames) {
		var o order
		for i := range layerNames {
			if set>>i&1 == 1 {
				o = append(o, i)
			}
		}
		all = append(all, o)
	}
	random := rand.New(rand.NewPCG(7, 7))
	for range n {
		o := order(random.Perm(len(layerNames)))
		all = append(all, o[:2+random.IntN(len(o)-1)])
	}
	return all
}

// until returns how far a request gets if the layer called by turns it away.
func (o order) until(by string) order {
	for i, l := range o {
		if layerNames[l] == by {
			return o[:i]
		}
	}
	return o
}

func (o order) has(name string) bool { return len(o.until(name)) < len(o) }

// parts are what a chain is made of, for HTTP and gRPC.
type parts struct {
	logs    bytes.Buffer
	log     *logging.Logger
	metrics *metrics.Metrics
	spans   *spantest.Provider
	keys    *ratelimit.Keyed
	limit   *concurrency.Limiter
	breaker *breaker.Breaker
	auth    auth.Authenticator

	counted map[string]float64 // before
	traced  int                // before
	logged  int                // bytes, before
	judged  breaker.Stats      // before
}

func newParts(t *testing.T) *parts {
	t.Helper()
	p := &parts{spans: &spantest.Provider{}, counted: map[string]float64{}}
	var errs [5]error
	reg := prometheus.NewRegistry()
	p.log, errs[0] = logging.New(logging.Config{Output: &p.logs})
	p.metrics, errs[1] = metrics.New(metrics.Config{Registerer: reg, Gatherer: reg})
	p.keys, errs[2] = ratelimit.New(ratelimit.Config{Limit: ratelimit.Limit{Rate: 1e-9, Burst: 1}, MaxKeys: 16})
	p.limit, errs[3] = concurrency.New(concurrency.Config{Max: 1})
	p.breaker, errs[4] = breaker.New(breaker.Config{ConsecutiveFailures: -1, MinCalls: 1 << 30})
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	p.keys.Allow("spent")
	p.auth = auth.AuthenticatorFunc(func(_ context.Context, c auth.Credentials) (*auth.Principal, error) {
		switch c.Token {
		case "down":
			return nil, auth.ErrUnavailable
		case "bad":
			return nil, auth.ErrInvalid
		}
		return &auth.Principal{Subject: subject}, nil
	})
	return p
}

// before notes what there is, and prepares for what turns the next request away.
func (p *parts) before(t *testing.T, by string) (undo func()) {
	t.Helper()
	p.traced, p.logged, p.judged = len(p.spans.Spans()), p.logs.Len(), p.breaker.Stats()
	switch by {
	case "concurrency":
		permit, err := p.limit.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return permit.Release
	case "breaker":
		p.breaker.ForceOpen()
		return p.breaker.Reset
	}
	return func() {}
}

// A verdict is what one observer says of a request.
type verdict struct {
	status, outcome, reason string
	failed                  bool
	ignored                 bool // by the breaker
}

func (v verdict) String() string {
	return fmt.Sprintf("%s %s %q failed=%t", v.status, v.outcome, v.reason, v.failed)
}

// records returns what was logged with the message since before.
func (p *parts) records(t *testing.T, message string) (found []verdict) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(p.logs.Bytes()[p.logged:]))
	for {
		var rec struct {
			Message, Level, Outcome, Reason string
			Status                          json.Number
			Code                            json.Number
		}
		if err := d.Decode(&rec); err == io.EOF {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		if rec.Message == message {
			found = append(found, verdict{status: string(rec.Status + rec.Code), outcome: rec.Outcome, reason: rec.Reason, failed: rec.Level == "ERROR"})
		}
	}
}

// series returns those of a counter that have grown since the last call.
func (p *parts) series(t *testing.T, counter string) (found []map[string]string) {
	t.Helper()
	families, err := p.metrics.Config().Gatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != counter {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			key := fmt.Sprint(labels)
			for range int(m.GetCounter().GetValue() - p.counted[key]) {
				found = append(found, labels)
			}
			p.counted[key] = m.GetCounter().GetValue()
		}
	}
	return found
}

// inFlight is what the gauges say.
func (p *parts) inFlight(t *testing.T, gauge string) (n float64) {
	families, err := p.metrics.Config().Gatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == gauge {
				n += m.GetGauge().GetValue()
			}
		}
	}
	return n
}

// protects are the reasons of the rejections that are no failures.
var protects = map[string]bool{"breaker-open": true, "queue-full": true, "shed": true, "draining": true, "refused": true}

// accounts are what the observers say of one request.
type accounts struct{ logs, series, spans []verdict }

// disagree returns what is wrong: whoever the request reached has one account of it,
// all of them are want, and the breaker has learned just that.
func (p *parts) disagree(reached order, said accounts, want verdict) (wrong []string) {
	fail := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for who, got := range map[string][]verdict{"logging": said.logs, "metrics": said.series, "tracing": said.spans} {
		if len(got) > 1 || len(got) == 1 != reached.has(who) {
			fail("%s has %d accounts: %v", who, len(got), got)
			continue
		}
		for _, v := range got {
			if v.status != want.status || v.reason != want.reason || v.failed != want.failed {
				fail("%s says %v, want %v", who, v, want)
			}
		}
	}
	if len(said.logs)+len(said.spans) == 2 && said.logs[0].outcome != said.spans[0].outcome {
		fail("logged as %s, traced as %s", said.logs[0].outcome, said.spans[0].outcome)
	}
	if !reached.has("breaker") {
		return wrong
	}
	now, learned := p.breaker.Stats(), breaker.Stats{}
	switch {
	case want.ignored:
		learned.Ignored = 1
	case want.failed:
		learned.Failures = 1
	default:
		learned.Successes = 1
	}
	got := breaker.Stats{Successes: now.Successes - p.judged.Successes, Failures: now.Failures - p.judged.Failures, Ignored: now.Ignored - p.judged.Ignored}
	if got != learned {
		fail("the breaker counts %d successes, %d failures, %d ignored", got.Successes, got.Failures, got.Ignored)
	}
	return wrong
}

func (p *parts) layers() []middleware {
	return []middleware{
		logging.Recover(p.log),
		tracing.Middleware(p.spans, tracing.MiddlewareConfig{}),
		logging.Middleware(p.log, logging.MiddlewareConfig{}),
		metrics.Middleware(p.metrics, metrics.MiddlewareConfig{}),
		auth.Middleware(p.auth, auth.MiddlewareConfig{}),
		ratelimit.Middleware(p.keys, ratelimit.MiddlewareConfig{
			Key: func(*http.Request) string { return "spent" },
			Cost: func(r *http.Request) int {
				if r.Header.Get("By") == "ratelimit" {
					return 1
				}
				return 0
			},
		}),
		concurrency.Middleware(p.limit, concurrency.MiddlewareConfig{}),
		breaker.Middleware(p.breaker, breaker.MiddlewareConfig{}),
	}
}

// An end is a way out of a request.
type end struct {
	name    string
	handler http.HandlerFunc
	by      string // the layer that turns it away, if it is there
	bearer  string
	around  func(http.Handler) http.Handler // of the chain

	verdict
}

func answers(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status); _, _ = io.WriteString(w, "{}") }
}

func panics(v any, after bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if after {
			_, _ = io.WriteString(w, "half of it")
			_ = http.NewResponseController(w).Flush()
		}
		panic(v)
	}
}

var ok = answers(200)

func ends() []end {
	return []end{
		{name: "ok", handler: ok, verdict: verdict{status: "200"}},
		{name: "not found", handler: answers(404), verdict: verdict{status: "404"}},
		{name: "too many", handler: answers(429), verdict: verdict{status: "429", ignored: true}},
		{name: "failure", handler: answers(500), verdict: verdict{status: "500", failed: true}},
		{name: "outage", handler: answers(503), verdict: verdict{status: "503", failed: true}},
		{name: "panic", handler: panics("odd", false), verdict: verdict{status: "500", failed: true}},
		{name: "panic after", handler: panics("odd", true), verdict: verdict{status: "500", failed: true}},
		{name: "abort", handler: panics(http.ErrAbortHandler, false), verdict: verdict{status: "500", failed: true}},
		{name: "abort after", handler: panics(http.ErrAbortHandler, true), verdict: verdict{status: "500", failed: true}},
		{name: "goexit", handler: func(http.ResponseWriter, *http.Request) { runtime.Goexit() }, verdict: verdict{status: "500", failed: true}},
		{name: "hijack", handler: hijacks, verdict: verdict{status: "101"}},
		{name: "gone", handler: leaves, verdict: verdict{status: "499", ignored: true}},
		{name: "error event", handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: {}\n\nevent: error\ndata: {}\n\n")
		}, verdict: verdict{status: "500", failed: true}},
		{name: "timeout inside", handler: func(w http.ResponseWriter, r *http.Request) {
			http.TimeoutHandler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), time.Millisecond, "late").ServeHTTP(w, r)
		}, verdict: verdict{status: "503", failed: true}},
		{name: "timeout around", handler: outlives,
			around: func(h http.Handler) http.Handler { return http.TimeoutHandler(h, time.Millisecond, "late") }, verdict: verdict{status: "503", failed: true}},
		{name: "queue full", handler: func(w http.ResponseWriter, r *http.Request) { batching.WriteError(w, r, batching.ErrQueueFull) },
			verdict: verdict{status: "503", reason: "queue-full", ignored: true}},
		{name: "no credential", handler: ok, by: "auth", bearer: "bad", verdict: verdict{status: "401", reason: "invalid-credential"}},
		{name: "no keys", handler: ok, by: "auth", bearer: "down", verdict: verdict{status: "503", reason: "auth-unavailable", failed: true}},
		{name: "limited", handler: ok, by: "ratelimit", verdict: verdict{status: "429", reason: "rate-limited", ignored: true}},
		{name: "no permit", handler: ok, by: "concurrency", verdict: verdict{status: "503", reason: "queue-full", ignored: true}},
		{name: "open", handler: ok, by: "breaker", verdict: verdict{status: "503", reason: "breaker-open", ignored: true}},
	}
}

// leaves is left by its client.
func leaves(w http.ResponseWriter, r *http.Request) {
	r.Context().Value(leaveKey{}).(context.CancelFunc)()
	ok(w, r)
}

type leaveKey struct{}

// outlives returns when http.TimeoutHandler has answered.
func outlives(w http.ResponseWriter, r *http.Request) {
	<-r.Context().Done()
	for {
		if _, err := w.Write(nil); err == http.ErrHandlerTimeout {
			return
		}
		runtime.Gosched()
	}
}

func hijacks(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	conn.Close()
}

// A client is where an answer goes.
type client struct{ *httptest.ResponseRecorder }

func (client) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, other := net.Pipe()
	return conn, bufio.NewReadWriter(bufio.NewReader(conn), bufio.NewWriter(conn)), other.Close()
}

// run has h answer in a goroutine of its own and returns when the chain is left.
func run(h http.Handler, around func(http.Handler) http.Handler, r *http.Request) (panicked any) {
	var left, answered sync.WaitGroup
	left.Add(1)
	h = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer left.Done()
			next.ServeHTTP(w, r)
		})
	}(h)
	if around != nil {
		h = around(h)
	}
	answered.Go(func() {
		defer func() { panicked = recover() }()
		h.ServeHTTP(client{httptest.NewRecorder()}, r)
	})
	answered.Wait()
	left.Wait()
	return panicked
}

// Whatever layers there are, in whatever order, and however a request ends: each
// observer that it reaches has one account of it, and all are the same.
func TestAllAgree(t *testing.T) {
	n := 400
	if testing.Short() {
		n = 50
	}
	for _, o := range orders(n) {
		synctest.Test(t, func(t *testing.T) { // for http.TimeoutHandler
			p := newParts(t)
			layers := p.layers()
			for _, e := range ends() {
				if e.by == "" || o.has(e.by) {
					p.requested(t, layers, o, e)
				}
			}
		})
	}
}

// requested sends one request through the layers, in order, that ends with e.
func (p *parts) requested(t *testing.T, layers []middleware, o order, e end) {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/v1/{model}", e.handler)
	h := http.Handler(mux)
	for i := len(o) - 1; i >= 0; i-- {
		h = layers[o[i]](h)
	}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	r := httptest.NewRequestWithContext(context.WithValue(ctx, leaveKey{}, leave), "POST", "/v1/model", nil)
	bearer := e.bearer
	if bearer == "" {
		bearer = "good"
	}
	r.Header.Set("Authorization", "Bearer "+bearer)
	r.Header.Set("By", e.by)
	undo := p.before(t, e.by)
	run(h, e.around, r)
	undo()
	reached := o
	if e.by != "" {
		reached = o.until(e.by)
	}
	said := accounts{p.records(t, "request"), p.requests(t), p.traces("http.response.status_code")}
	for _, wrong := range p.disagree(reached, said, e.verdict) {
		t.Errorf("%v: %s: %s", o, e.name, wrong)
	}
	if n := p.inFlight(t, "http_requests_in_flight"); n != 0 {
		t.Errorf("%v: %s: %v requests in flight", o, e.name, n)
	}
	if n := p.limit.Stats().InFlight; n != 0 {
		t.Errorf("%v: %s: %d permits are out", o, e.name, n)
	}
}

func (p *parts) requests(t *testing.T) (found []verdict) {
	t.Helper()
	for _, l := range p.series(t, "http_requests_total") {
		found = append(found, verdict{status: l["status"], reason: l["reason"], failed: l["status"] >= "500" && !protects[l["reason"]]})
	}
	return found
}

func (p *parts) traces(status string) (found []verdict) {
	for _, s := range p.spans.Spans()[p.traced:] {
		if s.Data().Ends != 1 {
			found = append(found, verdict{status: fmt.Sprint(s.Data().Ends, " ends")})
			continue
		}
		outcome := s.Attr("ballast.outcome")
		if outcome == "" {
			outcome = "complete"
		}
		found = append(found, verdict{status: s.Attr(status), outcome: outcome, reason: s.Attr("ballast.reason"), failed: s.Data().Status == codes.Error})
	}
	return found
}
