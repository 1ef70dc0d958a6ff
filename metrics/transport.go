package metrics

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/ballast-go/ballast/internal/sse"
	"github.com/prometheus/client_golang/prometheus"
)

// TransportConfig says what a client is counted as.
type TransportConfig struct {
	// Name is what is called, such as "embedder" or "embedder.ml.svc:8080": a
	// constant of the program, 1 to 256 bytes of valid UTF-8, and required. It, and
	// never a request's host, is the label client or, with OTel, server_address and,
	// if it ends in a port, server_port.
	Name string

	_ struct{}
}

// NewTransport returns a base whose requests are counted, each once, when its answer's
// body was read to the end or closed, or when there is none to come. A nil base is
// http.DefaultTransport. It panics if m is nil, if the Name is wrong, and if another
// collector is in the way of the series, be it the other convention's, whose
// durations have the same name. Of an m that is closed it counts into nothing that is
// seen. The label status, or error_type, of what
// did not end with a whole answer is
//
//	error        the connection failed, the body broke off, base panicked
//	timeout      the context's deadline passed, or the network's
//	canceled     the caller gave up: nobody's error
//	error-event  a text/event-stream had an error event
//
// With OTel error_type is else the status from 400 on, but for 429 and 499. Inside of
// what retries, attempts are counted; outside, calls. As ever, whoever gets a body
// must close it: else the request stays an active one.
func NewTransport(base http.RoundTripper, m *Metrics, cfg TransportConfig) http.RoundTripper {
	if m == nil {
		panic("metrics: NewTransport of a nil *Metrics")
	}
	if cfg.Name == "" || len(cfg.Name) > maxLabelBytes || !utf8.ValidString(cfg.Name) {
		panic("metrics: TransportConfig.Name: is not 1 to 256 bytes of valid UTF-8")
	}
	if base == nil {
		base = http.DefaultTransport
	}
	c := newClients(m.series)
	switch shared, err := m.Attach(c); {
	case err == nil:
		var ok bool
		if c, ok = shared.(*clients); !ok {
			panic("metrics: NewTransport: another collector is in the way of http_client_request_duration_seconds")
		}
	case !errors.Is(err, errClosed):
		panic(err)
	}
	return &transport{base: base, clients: c, name: cfg.Name, active: c.gauges(cfg.Name)}
}

type transport struct {
	base    http.RoundTripper
	clients *clients
	name    string
	active  [len(methods)]prometheus.Gauge
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	e := &exchange{transport: t, ctx: r.Context(), start: time.Now()}
	e.key = clientKey{client: t.name, method: methodIndex(r.Method)}
	t.active[e.key.method].Inc()
	returned := false
	defer func() {
		if !returned {
			e.end(failed)
		}
	}()
	resp, err := t.base.RoundTrip(r)
	returned = true
	if err != nil || resp == nil { // nil and nil is against the rules: http.Client says so
		e.fail(err)
		return resp, err
	}
	e.key.status = resp.StatusCode
	e.key.protocol = protocolOf([2]uint8{uint8(resp.ProtoMajor), uint8(resp.ProtoMinor)})
	if resp.Body == nil || resp.Body == http.NoBody || resp.StatusCode == http.StatusSwitchingProtocols {
		e.end(answered)
		return resp, nil
	}
	if resp.StatusCode < 400 && sse.IsStream(resp.Header) {
		e.events = new(events)
	}
	e.body, resp.Body = resp.Body, e
	return resp, nil
}

// CloseIdleConnections is for http.Client's.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// An exchange is a request, and then the body of its answer. Only its first end counts,
// so that Read and Close may meet.
type exchange struct {
	*transport
	ctx    context.Context
	start  time.Time
	key    clientKey
	body   io.ReadCloser
	events *events // nil: not a text/event-stream
	ended  atomic.Bool
}

// events are looked for in what is read. Reads at the same time make no sense, but
// http.Transport's bodies bear them.
type events struct {
	mu      sync.Mutex
	scanner sse.Scanner
}

func (e *events) hasError(p []byte, last bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.scanner.ScanBytes(p)
	if last {
		e.scanner.Finish()
	}
	return e.scanner.Found()
}

// Read implements io.Reader.
func (e *exchange) Read(p []byte) (int, error) {
	n, err := e.body.Read(p)
	if e.events != nil && e.events.hasError(p[:max(n, 0)], err == io.EOF) {
		e.end(errorEvent)
	}
	switch {
	case err == nil:
	case err == io.EOF:
		e.end(answered)
	default:
		e.fail(err)
	}
	return n, err
}

// Close implements io.Closer. It counts before it closes, which fails a Read that is
// going on.
func (e *exchange) Close() error {
	if err := e.ctx.Err(); err != nil {
		e.fail(err)
	}
	e.end(answered) // the reader has had enough
	return e.body.Close()
}

func (e *exchange) fail(err error) {
	ctxErr := e.ctx.Err()
	timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	// An http.Client whose Timeout has passed cancels the request in another way, just
	// before the deadline that it gave the context does.
	deadline, limited := e.ctx.Deadline()
	switch {
	case ctxErr == context.Canceled:
		e.end(canceled)
	case ctxErr != nil, limited && !time.Now().Before(deadline), ok && timeout.Timeout():
		e.end(timedOut)
	default:
		e.end(failed)
	}
}

func (e *exchange) end(how clientEnd) {
	if !e.ended.CompareAndSwap(false, true) {
		return
	}
	e.active[e.key.method].Dec()
	k := e.key
	k.end = how
	if e.clients.names == Guide {
		k.protocol = 0
	}
	s := e.clients.lookup(k)
	if s.total != nil {
		s.total.Inc()
	}
	s.duration.Observe(time.Since(e.start).Seconds())
}
