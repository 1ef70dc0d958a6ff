package logging

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// TransportConfig configures NewTransport. The zero value is useful.
type TransportConfig struct {
	// Level is that of the records of calls that went well; the zero value is
	// slog.LevelInfo. Those that failed, with an error or a status of 500 or above,
	// have WARN at least; a call that its caller canceled has not failed.
	Level slog.Level
	// Route names what is called, such as "/v1/models/{id}", in the field "route":
	// never the path itself. It may be asked of any request and must be safe for
	// concurrent use. nil, or "", leaves the field out.
	Route func(*http.Request) string
	// RequestIDHeader is the header field in which the other side is told the id of
	// the request on whose behalf the call is made, such as "X-Request-ID", unless
	// the call has that field already. "" tells nobody.
	RequestIDHeader string

	_ struct{}
}

// NewTransport returns a base that writes a record of each call, message "call",
// when its answer's body has been read to the end, or closed, or has failed: with
// method, host, route, status, error_class, time_to_header_ms, duration_ms,
// request_bytes, if known beforehand, and response_bytes as they were read. The URL's path
// and query, its credentials, header and bodies are never logged, nor is the text
// of an error, which may hold them. The classes are
//
//	canceled  by the caller       timeout   of any kind
//	dns       no such host        connect   refused, or no way to it
//	tls                           reset     the connection broke
//	cut       the answer broke off
//	rejected  a breaker or a limit on this side did not let it through
//	panic     of base             other
//
// As ever with http.RoundTripper, whoever gets a body must close it: else there is
// no record. A body that can be written, of 101 Switching Protocols, is left as it
// is, and the record is of what was until then.
//
// In the chain of a client it is outside of retry, for one record of all attempts.
// A nil base is http.DefaultTransport. NewTransport panics if l is nil.
func NewTransport(base http.RoundTripper, l *Logger, cfg TransportConfig) http.RoundTripper {
	if l == nil {
		panic("logging: NewTransport: the Logger is nil")
	}
	if base == nil {
		base = http.DefaultTransport
	}
	if cfg.RequestIDHeader != "" {
		cfg.RequestIDHeader = http.CanonicalHeaderKey(cfg.RequestIDHeader)
	}
	return &transport{base, l, cfg}
}

type transport struct {
	base   http.RoundTripper
	logger *Logger
	cfg    TransportConfig
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	out := t.named(r)
	if max(t.cfg.Level, slog.LevelWarn) < t.logger.Level() {
		resp, err := t.base.RoundTrip(out)
		restore(resp, r, out)
		return resp, err
	}
	c := &call{t: t, ctx: r.Context(), start: time.Now(), method: r.Method, sent: r.ContentLength}
	if r.URL != nil {
		c.host = r.URL.Host
	}
	if t.cfg.Route != nil {
		c.route = t.cfg.Route(r)
	}
	returned := false
	defer func() {
		if !returned {
			c.finish("panic") // or runtime.Goexit
		}
	}()
	resp, err := t.base.RoundTrip(out)
	returned = true
	restore(resp, r, out)
	c.answered(r, resp, err)
	return resp, err
}

// CloseIdleConnections is for http.Client's.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// named returns r, or a copy that tells the request's id.
func (t *transport) named(r *http.Request) *http.Request {
	name := t.cfg.RequestIDHeader
	if name == "" || len(r.Header[name]) > 0 {
		return r
	}
	id := RequestID(r.Context())
	if id == "" {
		return r
	}
	out := r.WithContext(r.Context())
	out.Header = r.Header.Clone()
	if out.Header == nil {
		out.Header = make(http.Header, 1)
	}
	out.Header[name] = []string{id}
	return out
}

func restore(resp *http.Response, r, out *http.Request) {
	if resp != nil && resp.Request == out {
		resp.Request = r
	}
}

// A call is one of the records, in the making, and stands behind the answer's body.
type call struct {
	t            *transport
	ctx          context.Context
	start        time.Time
	method, host string
	route        string
	status       int
	header       time.Duration // until it was there
	sent         int64         // as declared
	body         io.ReadCloser
	read         atomic.Int64
	done         atomic.Bool
}

// answered writes the record if there is nothing more to come.
func (c *call) answered(r *http.Request, resp *http.Response, err error) {
	if err != nil {
		c.finish(errorClass(c.ctx, err))
		return
	}
	if resp == nil { // of base to keep to http.RoundTripper's contract
		c.finish("other")
		return
	}
	c.status, c.header = resp.StatusCode, time.Since(c.start)
	if isWhole(r, resp) {
		c.finish("")
		return
	}
	c.body = resp.Body
	if _, ok := resp.Body.(io.WriterTo); ok {
		resp.Body = bodyWriterTo{callBody{c}}
	} else {
		resp.Body = callBody{c}
	}
}

// isWhole reports whether resp has no body (RFC 9110 §6.4.1), or one that is a
// connection which was handed over.
func isWhole(r *http.Request, resp *http.Response) bool {
	switch {
	case resp.Body == nil, resp.Body == http.NoBody, r.Method == http.MethodHead,
		resp.StatusCode == http.StatusNoContent, resp.StatusCode == http.StatusNotModified:
		return true
	case resp.ContentLength == 0 && resp.ProtoMajor > 0: // HTTP/2 has a NoBody of its own; a response made by hand says nothing
		return true
	}
	_, twoWay := resp.Body.(io.Writer)
	return twoWay
}

// callBody is one pointer wide, so that making it an interface allocates nothing.
type callBody struct{ c *call }

type bodyWriterTo struct{ callBody }

func (b callBody) Read(p []byte) (int, error) {
	n, err := b.c.body.Read(p)
	b.c.got(int64(n), err)
	return n, err
}

func (b bodyWriterTo) WriteTo(w io.Writer) (int64, error) {
	to := &sink{Writer: w}
	n, err := b.c.body.(io.WriterTo).WriteTo(to)
	switch {
	case to.failed: // which is not the body's failure
		b.c.got(n, nil)
	case err == nil:
		b.c.got(n, io.EOF)
	default:
		b.c.got(n, err)
	}
	return n, err
}

// A sink knows whether it failed.
type sink struct {
	io.Writer
	failed bool
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.Writer.Write(p)
	s.failed = s.failed || err != nil || n < len(p)
	return n, err
}

// Close writes the record before it closes, which fails a Read that is going on.
func (b callBody) Close() error {
	class := ""
	if err := b.c.ctx.Err(); err != nil {
		class = errorClass(b.c.ctx, err)
	}
	b.c.finish(class)
	return b.c.body.Close()
}

func (c *call) got(n int64, err error) {
	c.read.Add(max(n, 0))
	switch {
	case err == nil:
	case err == io.EOF:
		c.finish("")
	default:
		class := errorClass(c.ctx, err)
		if class == "other" { // HTTP/2's errors have no type that can be told
			class = "cut"
		}
		c.finish(class)
	}
}

// finish writes the record, the first time.
func (c *call) finish(class string) {
	if c.done.Swap(true) {
		return
	}
	l, level := c.t.logger, c.t.cfg.Level
	if c.status >= 500 || class != "" && class != "canceled" {
		level = max(level, slog.LevelWarn)
	}
	if level < l.Level() {
		return
	}
	now := time.Now()
	r := l.begin(l.name, level, now, "call", l.ids(c.ctx))
	k := &l.pipe.call
	r.str(k.method, limit(c.method, maxMethod))
	r.str(k.host, limit(c.host, maxField))
	if c.route != "" {
		r.str(k.route, limit(c.route, maxField))
	}
	if c.status != 0 {
		r.int(k.status, int64(c.status))
	}
	if class != "" {
		r.str(k.class, class)
	}
	if c.status != 0 {
		r.dur(k.header, c.header)
	}
	r.dur(k.duration, now.Sub(c.start))
	if c.sent > 0 {
		r.int(k.sent, c.sent)
	}
	r.int(k.read, c.read.Load())
	// A failed write is counted by the output; there is nobody to tell.
	_ = l.end(r)
}

type callKeys struct {
	method, host, route, status, class, header, duration, sent, read key
}

// newCallKeys has the names of a client's side: in Guide and GCP, bytes_in would be
// what a server gets.
func newCallKeys(l *Logger) callKeys {
	pick := func(guide, ecs, otel string) key {
		return makeKey([...]string{Guide: guide, ECS: ecs, OTel: otel, GCP: guide}[l.schema], l.console)
	}
	return callKeys{
		method:   pick("method", "http.request.method", "http.request.method"),
		host:     pick("host", "url.domain", "server.address"),
		route:    pick("route", "labels.route", "url.template"),
		status:   pick("status", "http.response.status_code", "http.response.status_code"),
		class:    pick("error_class", "error.type", "error.type"),
		header:   pick("time_to_header_ms", "labels.time_to_header_ms", "ballast.time_to_header_ms"),
		duration: pick("duration_ms", "event.duration,ns", "http.client.request.duration,s"),
		sent:     pick("request_bytes", "http.request.body.bytes", "http.request.body.size"),
		read:     pick("response_bytes", "http.response.body.bytes", "http.response.body.size"),
	}
}

// errorClass says what kind of failure err is, in a word of ours: its text may hold
// what must not be logged.
func errorClass(ctx context.Context, err error) string {
	switch ctx.Err() { // base may have returned its cause
	case context.Canceled:
		return "canceled"
	case context.DeadlineExceeded:
		return "timeout"
	}
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case isA[interface {
		error
		RetryDelay() time.Duration
	}](err):
		return "rejected"
	case isA[*net.DNSError](err):
		return "dns"
	case isA[*tls.CertificateVerificationError](err), isA[tls.RecordHeaderError](err), isA[tls.AlertError](err):
		return "tls"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case isDial(err):
		return "connect"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "cut"
	}
	return "other"
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func isDial(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}
