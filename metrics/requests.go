package metrics

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/ballast-go/ballast/internal/promseries"
	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/prometheus/client_golang/prometheus"
)

// requests counts HTTP requests. It is the Observer of every middleware of the
// same series, so that a request is counted once.
type requests struct {
	names    Names
	total    *prometheus.CounterVec // of Guide; OTel has the count of duration
	duration *promseries.HistogramVec
	in, out  *promseries.HistogramVec
	active   *active
	reasons  *tokens

	known  *promseries.Table[requestKey, *requestSeries]
	recent [256]atomic.Pointer[requestSeries] // some of known, which are found without hashing a key
	// overflow counts what known has no room for, by method, by status class,
	// whose 0 stands for no status at all, and by whether it was an expected
	// rejection, which must not become an error here.
	overflow [len(methods)][10][2]atomic.Pointer[requestSeries]
	// turnedAway is overflow of the statuses that no share of failures is of: among
	// the others of their class a flood of them would hide all failures.
	turnedAway [len(methods)][len(apart)]atomic.Pointer[requestSeries]
	overflowed prometheus.Counter
}

// A requestKey is what a request is counted by. What follows reason is for OTel alone.
type requestKey struct {
	route  string
	status int
	method uint8 // an index of methods
	reason uint8 // an id of reasons

	fault    reqstate.Outcome // why the status is not what was sent
	tls      bool
	protocol protocol
}

type requestSeries struct {
	key               requestKey
	total             prometheus.Counter // nil for OTel
	duration, in, out *promseries.Histogram
}

var (
	guideDurations = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
	otelDurations  = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
	sizes          = []float64{256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20}
)

func newRequests(s settings, overflows *prometheus.CounterVec) *requests {
	q := &requests{
		names:      s.names,
		reasons:    newTokens(overflows.WithLabelValues("reasons")),
		known:      promseries.NewTable[requestKey, *requestSeries](s.series),
		overflowed: overflows.WithLabelValues("requests"),
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *promseries.HistogramVec {
		return promseries.NewHistogramVec(promseries.HistogramOpts{
			Name: name, Help: help, Labels: labels, Buckets: buckets, Native: s.native,
		})
	}
	if s.names == OTel {
		q.duration = histogram("http_server_request_duration_seconds", "Duration of HTTP server requests.", otelDurations,
			"http_request_method", "url_scheme", "error_type", "http_response_status_code", "http_route", "network_protocol_version")
		q.in = histogram("http_server_request_body_size_bytes", "Size of HTTP server request bodies.", sizes,
			"http_request_method", "url_scheme", "http_route")
		q.out = histogram("http_server_response_body_size_bytes", "Size of HTTP server response bodies.", sizes,
			"http_request_method", "url_scheme", "http_route")
		q.active = newActive(s.names, "http_server_active_requests", "Number of active HTTP server requests.",
			"http_request_method", "url_scheme")
		return q
	}
	q.total = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "http_requests_total",
		Help: "Total HTTP requests.",
	}, []string{"method", "endpoint", "status", "reason"})
	q.duration = histogram("http_request_duration_seconds", "HTTP request latency in seconds.", guideDurations, "method", "endpoint")
	q.in = histogram("http_request_size_bytes", "Size of HTTP request bodies, as far as they were read.", sizes, "method", "endpoint")
	q.out = histogram("http_response_size_bytes", "Size of HTTP response bodies.", sizes, "method", "endpoint")
	q.active = newActive(s.names, "http_requests_active", "Number of active HTTP requests.")
	return q
}

func (q *requests) collectors() group {
	g := group{q.duration, q.in, q.out, q.active}
	if q.total != nil {
		g = append(g, q.total)
	}
	return g
}

// Begin implements reqstate.Observer.
func (q *requests) Begin(s *reqstate.State, _ http.ResponseWriter, _ *http.Request) {
	// Not the request's, which may be another's copy that differs.
	q.active.gauge(s.Head()).n.Add(1)
}

// Finish implements reqstate.Observer.
func (q *requests) Finish(rec *reqstate.Record) {
	q.active.gauge(rec.Method, rec.TLS).n.Add(-1)
	s := q.lookup(q.key(rec))
	if s.total != nil {
		s.total.Inc()
	}
	seconds := float64(rec.Duration) / 1e9 // Seconds takes twice as long
	if rec.Sampled {
		s.duration.ObserveTraced(seconds, rec.Start.Add(rec.Duration), promseries.Trace{ID: rec.TraceID, Span: rec.SpanID})
	} else {
		s.duration.Observe(seconds)
	}
	s.in.Observe(float64(rec.BytesIn))
	s.out.Observe(float64(rec.Bytes))
}

func (q *requests) key(rec *reqstate.Record) requestKey {
	k := requestKey{route: rec.Route, status: rec.Status, method: methodIndex(rec.Method), reason: q.reasons.id(rec.Rejection())}
	if q.names == OTel {
		k.tls, k.protocol = rec.TLS, protocolOf(rec.Protocol)
		if rec.Status >= 500 {
			k.fault = rec.Outcome
		}
	}
	return k
}

func (q *requests) lookup(k requestKey) *requestSeries {
	slot := &q.recent[k.spread()%uint(len(q.recent))]
	if s := slot.Load(); s != nil && s.key == k {
		return s
	}
	s, ok := q.known.Get(k)
	if !ok && len(k.route) <= maxLabelBytes && !q.known.Full() {
		k.route = strings.Clone(k.route) // of whatever it is a part of
		s, ok = q.known.Add(k, q.resolve)
	}
	if !ok {
		return q.lookupOverflow(k)
	}
	slot.CompareAndSwap(nil, s) // who comes later is found in known: no two fight for it
	return s
}

// spread is a poor man's hash of k.
func (k *requestKey) spread() uint {
	n := uint(len(k.route))
	h := n*37 + uint(k.status) + uint(k.method)<<5 + uint(k.reason)<<3
	if n > 0 {
		h += uint(k.route[n-1])*131 + uint(k.route[n/2])*17
	}
	return h
}

func (q *requests) resolve(k requestKey) *requestSeries {
	l := requestLabels{
		method: q.names.method(k.method),
		route:  validLabel(k.route),
		status: strconv.Itoa(k.status),
		reason: q.reasons.names[k.reason],
	}
	if q.names == OTel {
		l.otel(k)
	}
	s := q.build(l)
	s.key = k
	return s
}

// requestLabels are the label values of a request.
type requestLabels struct{ method, route, status, reason, errorType, scheme, protocol string }

func (l *requestLabels) otel(k requestKey) {
	if l.route == reqstate.Unmatched {
		l.route = "" // "if and only if it's available"
	}
	l.scheme = scheme(k.tls)
	l.protocol = k.protocol.String()
	switch {
	case k.status < 500:
	case l.reason != "":
		l.errorType = l.reason
	case k.fault != reqstate.Complete:
		l.errorType = k.fault.String()
	default:
		l.errorType = l.status
	}
}

// A protocol is a version of HTTP. Those that there are not, which a client may claim
// ("HTTP/1.7"), are one, the zero value, so that they use up one series' room.
type protocol uint8

func protocolOf(version [2]uint8) protocol {
	switch version {
	case [2]uint8{1, 0}:
		return 1
	case [2]uint8{1, 1}:
		return 2
	case [2]uint8{2, 0}:
		return 3
	case [2]uint8{3, 0}:
		return 4
	}
	return 0
}

// String returns the version as OpenTelemetry writes it, or "".
func (p protocol) String() string { return [...]string{"", "1.0", "1.1", "2", "3"}[p] }

func scheme(tls bool) string {
	if tls {
		return "https"
	}
	return "http"
}

func (q *requests) build(l requestLabels) *requestSeries {
	if q.names == OTel {
		return &requestSeries{
			duration: q.duration.With(l.method, l.scheme, l.errorType, l.status, l.route, l.protocol),
			in:       q.in.With(l.method, l.scheme, l.route),
			out:      q.out.With(l.method, l.scheme, l.route),
		}
	}
	return &requestSeries{
		total:    q.total.WithLabelValues(l.method, l.route, l.status, l.reason),
		duration: q.duration.With(l.method, l.route),
		in:       q.in.With(l.method, l.route),
		out:      q.out.With(l.method, l.route),
	}
}

// apart are the statuses that [Rules] leaves out.
var apart = [...]int{401, 403, 429}

func (q *requests) lookupOverflow(k requestKey) *requestSeries {
	q.overflowed.Inc()
	class := k.status / 100
	if class < 0 || class > 9 {
		class = 0
	}
	rejected := 0
	if reqstate.IsProtection(q.reasons.names[k.reason]) {
		rejected = 1
	}
	slot := &q.overflow[k.method][class][rejected]
	i := slices.Index(apart[:], k.status)
	if i >= 0 {
		slot, rejected = &q.turnedAway[k.method][i], 0
	}
	if s := slot.Load(); s != nil {
		return s
	}
	// Two at once build the same.
	l := requestLabels{method: q.names.method(k.method), route: other, status: strconv.Itoa(class) + "xx"}
	if i >= 0 {
		l.status = strconv.Itoa(k.status)
	}
	if rejected == 1 {
		l.reason = refused
	}
	switch {
	case class != 5:
	case rejected == 1:
		l.errorType = refused
	default:
		l.errorType = otherOTel
	}
	s := q.build(l)
	slot.Store(s)
	return s
}
