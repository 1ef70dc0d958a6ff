package metrics

import (
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/prometheus/client_golang/prometheus"
)

// other is the label value of what gets no series of its own.
const other = "_other"

// methods are the label values for methods, of RFC 9110 §9 and RFC 5789.
var methods = [...]string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
	http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace, other,
}

// methodIndex returns where method is in methods.
func methodIndex(method string) uint8 {
	// GET and POST are nearly all there is.
	switch method {
	case http.MethodGet:
		return 0
	case http.MethodPost:
		return 2
	}
	for i, m := range methods[:len(methods)-1] {
		if m == method {
			return uint8(i)
		}
	}
	return uint8(len(methods) - 1)
}

// requests counts HTTP requests. It is the Observer of every middleware of the
// same series, so that a request is counted once.
type requests struct {
	total    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	active   prometheus.Gauge

	known *table[requestKey, *requestSeries]
	// overflow counts what known has no room for, by method and by status
	// class, whose 0 stands for no status at all.
	overflow [len(methods)][10]atomic.Pointer[requestSeries]
}

type requestKey struct {
	route  string
	status int
	method uint8
}

type requestSeries struct {
	total    prometheus.Counter
	duration prometheus.Observer
}

func newRequests(maxSeries int) requests {
	return requests{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_requests_total",
			Help: "Total HTTP requests.",
		}, []string{"method", "endpoint", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "http_request_duration_seconds",
			Help:    "HTTP request latency in seconds.",
			Buckets: []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10},
		}, []string{"method", "endpoint"}),
		active: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "http_requests_active",
			Help: "Number of active HTTP requests.",
		}),
		known: newTable[requestKey, *requestSeries](maxSeries),
	}
}

// Begin implements reqstate.Observer.
func (q *requests) Begin(*reqstate.State, http.ResponseWriter, *http.Request) { q.active.Inc() }

// Finish implements reqstate.Observer.
func (q *requests) Finish(rec *reqstate.Record) {
	q.active.Dec()
	s := q.lookup(requestKey{route: rec.Route, status: rec.Status, method: methodIndex(rec.Method)})
	s.duration.Observe(rec.Duration.Seconds())
	s.total.Inc()
}

func (q *requests) lookup(k requestKey) *requestSeries {
	if s, ok := q.known.get(k); ok {
		return s
	}
	if len(k.route) <= maxLabelBytes && !q.known.full() {
		k.route = strings.Clone(k.route) // of whatever it is a part of
		if s, ok := q.known.add(k, q.resolve); ok {
			return s
		}
	}
	return q.lookupOverflow(k)
}

func (q *requests) resolve(k requestKey) *requestSeries {
	return q.build(methods[k.method], validLabel(k.route), strconv.Itoa(k.status))
}

// validLabel returns value without what client_golang panics on.
func validLabel(value string) string { return strings.ToValidUTF8(value, "\uFFFD") }

func (q *requests) build(method, endpoint, status string) *requestSeries {
	return &requestSeries{
		total:    q.total.WithLabelValues(method, endpoint, status),
		duration: q.duration.WithLabelValues(method, endpoint),
	}
}

func (q *requests) lookupOverflow(k requestKey) *requestSeries {
	class := k.status / 100
	if class < 0 || class > 9 {
		class = 0
	}
	slot := &q.overflow[k.method][class]
	if s := slot.Load(); s != nil {
		return s
	}
	// Two at once build the same.
	s := q.build(methods[k.method], other, strconv.Itoa(class)+"xx")
	slot.Store(s)
	return s
}
