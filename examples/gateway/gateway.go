package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/ballast-go/ballast/logging"
	"github.com/ballast-go/ballast/metrics"
	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/ratelimit/ratelimitprom"
)

// gateway is what all calls share.
type gateway struct {
	cfg              *config
	logger           *logging.Logger
	log              *slog.Logger
	registry         *prometheus.Registry
	metrics          *metrics.Metrics
	counters         counters
	requests, tokens *ratelimit.Keyed
}

// counters are what only a gateway knows. Nothing in them is named by clients.
type counters struct {
	tokens  *prometheus.CounterVec // by kind
	settled *prometheus.CounterVec // by how
}

func newCounters(registry prometheus.Registerer) counters {
	c := counters{
		prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gateway_tokens_total", Help: "Tokens of answered calls, by usage or as counted."}, []string{"kind"}),
		prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gateway_calls_settled_total", Help: "Calls by what was charged: usage, counted, limited (counted, and ended by the limit), abandoned (the client left before an answer, or that is too long to be read), refused (by the upstream, 4xx) or cancelled (nothing)."}, []string{"how"}),
	}
	registry.MustRegister(c.tokens, c.settled)
	return c
}

func (c counters) add(call *call) {
	c.tokens.WithLabelValues("input").Add(float64(call.input))
	c.tokens.WithLabelValues("cached_input").Add(float64(call.cached))
	c.tokens.WithLabelValues("output").Add(float64(call.output))
}

// maxKeys is for how many API keys at a time there is room, at 23 bytes each and
// limit. More share what one may have.
const maxKeys = 1 << 16

// newGateway returns a gateway that logs to stdout.
func newGateway(cfg *config, stdout io.Writer) (*gateway, error) {
	g := &gateway{cfg: cfg, registry: prometheus.NewRegistry()}
	var errs [4]error
	g.logger, errs[0] = logging.New(logging.Config{Name: "gateway", Output: stdout})
	g.metrics, errs[1] = metrics.New(metrics.Config{Registerer: g.registry})
	g.requests, errs[2] = ratelimit.New(ratelimit.Config{Limit: cfg.requests, MaxKeys: maxKeys})
	g.tokens, errs[3] = ratelimit.New(ratelimit.Config{Limit: cfg.tokens, MaxKeys: maxKeys})
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	g.log = g.logger.Slog()
	g.counters = newCounters(g.registry)
	g.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		ratelimitprom.NewCollector("requests", g.requests), ratelimitprom.NewCollector("tokens", g.tokens))
	return g, nil
}

// handler is what a request passes, with /metrics.
func (g *gateway) handler() http.Handler {
	proxy := g.proxy()
	keys := g.cfg.keys
	complete := keys.only(g.budget(proxy, g.requests, g.tokens, keys.nameOf))
	// What costs no tokens is a request all the same.
	one := ratelimit.All(ratelimit.Rule{Name: "requests", Limiter: g.requests})
	counted := keys.only(ratelimit.Middleware(one, ratelimit.MiddlewareConfig{Key: keys.nameOf})(proxy))
	// All of it is behind the mux, so that who is refused is counted by the route
	// that it asked for.
	mux := http.NewServeMux()
	mux.Handle("POST /v1/chat/completions", complete)
	mux.Handle("POST /v1/completions", complete)
	mux.Handle("GET /v1/models", counted)
	mux.Handle("GET /v1/models/{id...}", inside(counted))
	mux.HandleFunc("/", noEndpoint)

	h := metrics.Middleware(g.metrics, metrics.MiddlewareConfig{})(mux)
	h = logging.Middleware(g.logger, logging.MiddlewareConfig{})(h)
	root := http.NewServeMux()
	root.Handle("GET /metrics", g.metrics.Handler())
	root.Handle("/", h)
	return perWrite(logging.Recover(g.logger)(root), g.cfg.writeTimeout)
}

func noEndpoint(w http.ResponseWriter, _ *http.Request) {
	writeProblem(w, &refusal{http.StatusNotFound, "This gateway has no such endpoint."})
}

// inside keeps a model's name from leading out of /v1/models: the mux leaves
// %2e%2e as it is, which some upstreams take for "..". A name may have slashes.
func inside(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for part := range strings.FieldsFuncSeq(r.PathValue("id"), func(c rune) bool { return c == '/' || c == '\\' }) {
			if strings.HasPrefix(part, "..") || part == "." {
				noEndpoint(w, r)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// proxy is what there was before the budget.
func (g *gateway) proxy() *httputil.ReverseProxy {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 256 // all go to one
	return &httputil.ReverseProxy{
		Transport: final{transport},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(g.cfg.upstream)
			r.Out.Header.Del("Accept-Encoding") // the transport has its own, and undoes it
			r.Out.Header.Del("Cookie")
			for _, other := range []string{"X-Api-Key", "Api-Key", "Openai-Organization", "Openai-Project"} {
				r.Out.Header.Del(other) // whose budget it is, Authorization alone says
			}
			r.Out.Header.Del("Expect")     // the body is here
			r.Out.Header.Del("Connection") // nothing here counts what another protocol carries
			r.Out.Header.Del("Upgrade")
			if len(g.cfg.keys) > 0 {
				r.Out.Header.Del("Authorization") // the key is ours
			}
			if g.cfg.upstreamKey != "" {
				r.Out.Header.Set("Authorization", "Bearer "+g.cfg.upstreamKey)
			}
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
				w.WriteHeader(499) // for logs and metrics: the client has gone
				return
			}
			g.log.WarnContext(r.Context(), "the upstream failed", "error", err)
			writeProblem(w, &refusal{http.StatusBadGateway, "The upstream did not answer."})
		},
		ErrorLog: slog.NewLogLogger(g.log.Handler(), slog.LevelWarn),
	}
}

// final drops an upstream's 1xx answers. The proxy would pass them on, and with
// each clear what was set of the answer's header: RateLimit, the request's ID.
type final struct{ http.RoundTripper }

func (f final) RoundTrip(r *http.Request) (*http.Response, error) {
	return f.RoundTripper.RoundTrip(r.WithContext(untraced{r.Context()}))
}

// untraced has no httptrace, by which the proxy learns of them.
type untraced struct{ context.Context }

func (u untraced) Value(key any) any {
	v := u.Context.Value(key)
	if _, ok := v.(*httptrace.ClientTrace); ok {
		return nil
	}
	return v
}

// writeProblem answers with a problem document (RFC 9457).
func writeProblem(w http.ResponseWriter, err error) {
	problem := &refusal{status: http.StatusInternalServerError}
	errors.As(err, &problem)
	if problem.status == http.StatusUnsupportedMediaType {
		w.Header().Set("Accept", "application/json") // RFC 9110 §15.5.16
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(problem.status)
	_ = json.NewEncoder(w).Encode(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail,omitempty"`
	}{"about:blank", http.StatusText(problem.status), problem.status, problem.detail})
}

// perWrite gives each write a deadline of its own: a stream may last, but a
// client that stalls ends it, and the upstream stops working for it.
func perWrite(next http.Handler, timeout time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := deadlineWriter{w, http.NewResponseController(w), timeout}
		defer d.extend() // net/http's own flush comes after the handler
		next.ServeHTTP(d, r)
	})
}

type deadlineWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
}

func (d deadlineWriter) extend() { _ = d.control.SetWriteDeadline(time.Now().Add(d.timeout)) }

func (d deadlineWriter) Unwrap() http.ResponseWriter { return d.ResponseWriter }

func (d deadlineWriter) Write(p []byte) (int, error) {
	d.extend()
	defer d.lift()
	return d.ResponseWriter.Write(p)
}

func (d deadlineWriter) Flush() { _ = d.FlushError() }

func (d deadlineWriter) FlushError() error {
	d.extend()
	defer d.lift()
	return d.control.Flush()
}

// lift ends the deadline with its write: HTTP/2 resets a stream whose deadline
// passes, even if nothing is being written.
func (d deadlineWriter) lift() { _ = d.control.SetWriteDeadline(time.Time{}) }
