package metricsgrpc

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"

	"github.com/ballast-go/ballast/internal/promseries"
	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/ballast-go/ballast/metrics"
)

const (
	other      = "_other"
	otherOTel  = "_OTHER" // as OpenTelemetry's conventions have it
	maxName    = 256      // bytes of a method's full name
	maxReasons = 31       // of a method, beside _other
)

// A kind is what sort of method it is: the label grpc_type.
type kind uint8

const (
	unary kind = iota
	clientStream
	serverStream
	bidiStream
	kinds
)

func (k kind) String() string {
	return [...]string{"unary", "client_stream", "server_stream", "bidi_stream"}[k]
}

func kindOf(client, server bool) kind {
	switch {
	case client && server:
		return bidiStream
	case client:
		return clientStream
	case server:
		return serverStream
	}
	return unary
}

// The durations' buckets are those of package metrics, in either convention.
var (
	guideBuckets = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
	otelBuckets  = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
	sizeBuckets  = prometheus.ExponentialBuckets(64, 4, 10) // to 16 MiB
)

// A side has the series of a server's or of a client's calls. It is one collector, so
// that whoever attaches it again finds the one that is there.
type side struct {
	names    metrics.Names
	server   bool
	overflow prometheus.Counter
	methods  *promseries.Table[methodKey, *method]
	others   [kinds]func() *method

	observers [kinds]observer

	mu    sync.Mutex                          // held to write known
	known atomic.Pointer[[]func(string) bool] // each tells some methods that exist; nil: all may

	// With metrics.Guide; nil otherwise.
	started, handled, received, sent *prometheus.CounterVec
	seconds                          *promseries.HistogramVec
}

type methodKey struct {
	kind kind
	full string
}

// attach returns m's side, the one that is there or a new one.
func attach(of string, m *metrics.Metrics, server bool) *side {
	if m == nil {
		panic("metricsgrpc: " + of + " of a nil *Metrics")
	}
	s := newSide(m, server)
	shared, err := m.Attach(s)
	if err != nil {
		panic("metricsgrpc: " + of + ": " + err.Error())
	}
	again, ok := shared.(*side)
	if !ok {
		panic("metricsgrpc: " + of + ": another collector is in the way of its series")
	}
	return again
}

func newSide(m *metrics.Metrics, server bool) *side {
	c := m.Config()
	s := &side{names: c.Names, server: server, overflow: m.Overflow("grpc"), methods: promseries.NewTable[methodKey, *method](max(1, c.MaxSeries/4))}
	who := "client"
	if server {
		who = "server"
	}
	if c.Names == metrics.OTel {
		s.seconds = promseries.NewHistogramVec(promseries.HistogramOpts{
			Name: "rpc_" + who + "_call_duration_seconds", Help: "Duration of gRPC calls, from the " + who + "'s side.",
			Labels:  []string{"rpc_system_name", "rpc_method", "rpc_response_status_code", "error_type"},
			Buckets: otelBuckets, Native: c.NativeHistograms,
		})
	} else {
		labels := []string{"grpc_type", "grpc_service", "grpc_method"}
		counter := func(name, help string, more ...string) *prometheus.CounterVec {
			return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "grpc_" + who + "_" + name, Help: help}, append(labels[:3:3], more...))
		}
		s.started = counter("started_total", "gRPC calls begun on the "+who+".")
		s.handled = counter("handled_total", "gRPC calls over on the "+who+", whatever came of them.", "grpc_code", "reason")
		s.received = counter("msg_received_total", "Messages of gRPC calls that the "+who+" received.")
		s.sent = counter("msg_sent_total", "Messages of gRPC calls that the "+who+" sent.")
		s.seconds = promseries.NewHistogramVec(promseries.HistogramOpts{
			Name: "grpc_" + who + "_handling_seconds", Help: "Duration of gRPC calls, from the " + who + "'s side.",
			Labels: labels, Buckets: guideBuckets, Native: c.NativeHistograms,
		})
	}
	for k := range kinds {
		s.others[k] = sync.OnceValue(func() *method { return s.build(methodKey{k, other}) })
		s.observers[k] = observer{s, k}
	}
	return s
}

// A method has the series of one method, or of all that have none of their own.
type method struct {
	side *side
	key  methodKey

	started, received, sent prometheus.Counter    // nil with metrics.OTel
	seconds                 *promseries.Histogram // nil with metrics.OTel

	plain   [17]atomic.Pointer[outcome] // by code, without a reason
	strange atomic.Pointer[outcome]     // of codes that there are not
	refused *promseries.Table[refusal, *outcome]
	rest    [17]atomic.Pointer[outcome] // by code, for reasons beyond the bound
}

type refusal struct {
	code   codes.Code
	reason string
}

// An outcome is where a call is counted at its end.
type outcome struct {
	handled prometheus.Counter // nil with metrics.OTel
	seconds *promseries.Histogram
}

// labels are the service's and the method's name.
func (k methodKey) labels() (service, name string) {
	full := strings.TrimPrefix(k.full, "/")
	if i := strings.LastIndexByte(full, '/'); i >= 0 {
		return full[:i], full[i+1:]
	}
	return other, full
}

func (s *side) build(k methodKey) *method {
	m := &method{side: s, key: k, refused: promseries.NewTable[refusal, *outcome](maxReasons)}
	if s.names != metrics.OTel {
		service, name := k.labels()
		m.started = s.started.WithLabelValues(k.kind.String(), service, name)
		m.received = s.received.WithLabelValues(k.kind.String(), service, name)
		m.sent = s.sent.WithLabelValues(k.kind.String(), service, name)
		m.seconds = s.seconds.With(k.kind.String(), service, name)
	}
	return m
}

// method returns where calls of the full name are counted, and whether they are alone
// there.
func (s *side) method(k kind, full string) (m *method, own bool) {
	if m, ok := s.methods.Get(methodKey{k, full}); ok {
		return m, true
	}
	if !s.methods.Full() && s.isName(full) {
		if m, ok := s.methods.Add(methodKey{k, strings.Clone(full)}, s.build); ok {
			return m, true
		}
	}
	return s.others[k](), false
}

// isName reports whether full may have series of its own.
func (s *side) isName(full string) bool {
	if len(full) > maxName || !utf8.ValidString(full) {
		return false
	}
	known := s.known.Load()
	return known == nil || slices.ContainsFunc(*known, func(exists func(string) bool) bool { return exists(full) })
}

// know adds methods that exist.
func (s *side) know(exists func(full string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := []func(string) bool{exists}
	if old := s.known.Load(); old != nil {
		known = append(slices.Clone(*old), exists)
	}
	s.known.Store(&known)
}

// name is the label rpc_method.
func (k methodKey) name() string {
	if k.full == other {
		return otherOTel
	}
	return strings.TrimPrefix(k.full, "/")
}

// end counts a call that is over.
func (m *method) end(rec *reqstate.Record) {
	m.count(codes.Code(rec.Code), rec.Rejection(), rec.Duration, rec)
}

func (m *method) count(code codes.Code, reason string, took time.Duration, rec *reqstate.Record) {
	o := m.outcome(code, reason)
	if o.handled != nil {
		o.handled.Inc()
	}
	if rec != nil && rec.Sampled {
		o.seconds.ObserveTraced(took.Seconds(), rec.Start.Add(took), promseries.Trace{ID: rec.TraceID, Span: rec.SpanID})
		return
	}
	o.seconds.Observe(took.Seconds())
}

func (m *method) outcome(code codes.Code, reason string) *outcome {
	if int(code) >= len(m.plain) {
		return m.once(&m.strange, codes.Unknown, "", other)
	}
	if reason == "" {
		return m.once(&m.plain[code], code, "", "")
	}
	k := refusal{code, reason}
	if o, ok := m.refused.Get(k); ok {
		return o
	}
	if len(reason) <= maxName && !m.refused.Full() {
		k.reason = strings.Clone(reason)
		if o, ok := m.refused.Add(k, func(k refusal) *outcome { return m.resolve(k.code, k.reason, "") }); ok {
			return o
		}
	}
	m.side.overflow.Inc()
	return m.once(&m.rest[code], code, other, "")
}

// once returns what is in the slot. Two at once build the same.
func (m *method) once(slot *atomic.Pointer[outcome], code codes.Code, reason, name string) *outcome {
	if o := slot.Load(); o != nil {
		return o
	}
	o := m.resolve(code, reason, name)
	slot.Store(o)
	return o
}

// resolve builds an outcome; name is the code's if that is none of gRPC's.
func (m *method) resolve(code codes.Code, reason, name string) *outcome {
	if m.side.names == metrics.OTel {
		if name == other {
			name = otherOTel
		} else {
			name = codeName(code)
		}
		return &outcome{seconds: m.side.seconds.With("grpc", m.key.name(), name, m.side.errorType(code, reason))}
	}
	if name == "" {
		name = code.String()
	}
	service, method := m.key.labels()
	return &outcome{
		handled: m.side.handled.WithLabelValues(m.key.kind.String(), service, method, name, strings.ToValidUTF8(reason, "\uFFFD")),
		seconds: m.seconds,
	}
}

// errorType follows OpenTelemetry: of a server's calls, only some codes are errors.
func (s *side) errorType(code codes.Code, reason string) string {
	switch {
	case reason != "":
		return strings.ToValidUTF8(reason, "\uFFFD")
	case code == codes.OK, code == codes.Canceled, s.server && !isFault(code):
		return ""
	}
	return codeName(code)
}

// isFault reports whether a code says that the server is to blame (OpenTelemetry,
// Semantic conventions for gRPC).
func isFault(code codes.Code) bool {
	switch code {
	case codes.Unknown, codes.DeadlineExceeded, codes.Unimplemented, codes.Internal, codes.Unavailable, codes.DataLoss:
		return true
	}
	return false
}

// codeName is a code's name in google.rpc.Code.
func codeName(code codes.Code) string {
	names := [...]string{
		"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
		"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
		"UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
	}
	if int(code) < len(names) {
		return names[code]
	}
	return strconv.Itoa(int(code))
}

func (s *side) collectors() []prometheus.Collector {
	if s.names == metrics.OTel {
		return []prometheus.Collector{s.seconds}
	}
	return []prometheus.Collector{s.started, s.handled, s.received, s.sent, s.seconds}
}

// Describe implements prometheus.Collector.
func (s *side) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range s.collectors() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (s *side) Collect(ch chan<- prometheus.Metric) {
	for _, c := range s.collectors() {
		c.Collect(ch)
	}
}
