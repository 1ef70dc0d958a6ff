package concurrency

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/ballast-go/ballast/internal/reqstate"
)

const (
	defaultHeader  = "Criticality"
	defaultMaxBody = 8 << 20
)

// MiddlewareConfig configures [Middleware]. The zero value is useful.
type MiddlewareConfig struct {
	// Header is the request header field that holds a class, as
	// [ParseCriticality] reads it; what it does not know counts as none. ""
	// means "Criticality". A request without it has the class of its context.
	Header string

	// Trusted reports whether the peer that sent a request may raise its class
	// above its context's. Anybody may lower it. nil trusts nobody; see
	// [FromPrefixes].
	Trusted func(*http.Request) bool

	// MaxBodyBytes is the largest request body, with [Config].MaxBytes; it does
	// nothing without. A larger Content-Length is refused with [ErrTooLarge], and
	// a body of unknown length counts as so large, and reading more of it fails
	// with *http.MaxBytesError. 0 means 8 MiB; above MaxBytes it counts as that.
	MaxBodyBytes int64

	// WriteTimeout is how long a client may take to accept the next piece of the
	// answer, of up to 64 KiB. After that the write fails and the request's
	// context ends, so that the handler can return and the permit is free. It
	// stands in for http.Server.WriteTimeout, which is for the whole answer and
	// cuts long streams. Files are copied then, without sendfile. It does nothing
	// where a ResponseWriter in between knows neither SetWriteDeadline nor
	// Unwrap. Over HTTP/2 it ends streams whose window the client keeps shut. One
	// that reads nothing at all holds up its whole connection, which is for
	// http.Server's HTTP2.WriteByteTimeout to end: set both. 0 means for ever.
	WriteTimeout time.Duration

	// Deny answers a request that got no permit. nil means [WriteError].
	Deny func(w http.ResponseWriter, r *http.Request, err error)

	_ struct{}
}

// FromPrefixes returns a function for MiddlewareConfig.Trusted that trusts the
// peers whose own address, not one in any header, is in one of the prefixes.
func FromPrefixes(prefixes ...netip.Prefix) func(*http.Request) bool {
	return func(r *http.Request) bool {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return false
		}
		for _, prefix := range prefixes {
			if prefix.Contains(peer.Addr().Unmap()) {
				return true
			}
		}
		return false
	}
}

// Middleware gives each request a permit of l's, before its body is read, or
// turns it away. The permit is released when the next handler is left, by
// return, panic, http.ErrAbortHandler or runtime.Goexit, all of which go on. It
// is held for as long as a stream lasts and, after a hijack, until the handler
// returns: what takes a connection along to another goroutine is no longer
// counted. A client that stops reading cannot keep it if WriteTimeout is set.
//
// A request's latency, for an adaptive limit, is the time until the first bytes
// of its answer leave or, without a flush or 4 KiB of them, the handler returns.
// So the client's sending of the body is a part of it; http.Server's ReadTimeout
// bounds that.
// Answers of 503 and 504 and requests whose deadline has passed count as
// overload; other statuses above 399, panics, aborts, hijacks, requests that the
// client canceled and those that a Middleware further in turned away do not
// count at all.
//
// It panics if l is nil or cfg has a negative number, when the chain is built.
func Middleware(l *Limiter, cfg MiddlewareConfig) func(http.Handler) http.Handler {
	if l == nil {
		panic("concurrency: Middleware of a nil *Limiter")
	}
	if cfg.MaxBodyBytes < 0 || cfg.WriteTimeout < 0 {
		panic(fmt.Sprintf("concurrency: MiddlewareConfig has a negative MaxBodyBytes, %d, or WriteTimeout, %v", cfg.MaxBodyBytes, cfg.WriteTimeout))
	}
	setDefault(&cfg.Header, defaultHeader)
	setDefault(&cfg.MaxBodyBytes, defaultMaxBody)
	cfg.MaxBodyBytes = min(cfg.MaxBodyBytes, l.cfg.MaxBytes)
	if cfg.Deny == nil {
		cfg.Deny = WriteError
	}
	m := &middleware{l, cfg}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.serve(w, r, next) })
	}
}

// WithoutState returns a context whose requests are judged on their own: a
// request that a handler makes inside the process, straight to another handler
// and with a context derived from its own, would otherwise be taken for a part
// of the one being handled.
func WithoutState(ctx context.Context) context.Context { return reqstate.WithoutState(ctx) }

type middleware struct {
	l   *Limiter
	cfg MiddlewareConfig
}

func (m *middleware) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	inner := m.classify(r)
	p, err := m.admit(inner)
	if err != nil {
		if s := reqstate.FromContext(r.Context()); s != nil {
			s.SetRefused()
		}
		m.cfg.Deny(w, r, err)
		return
	}
	defer p.Release()
	if m.l.cfg.MaxBytes > 0 && inner.ContentLength < 0 {
		if inner == r {
			inner = inner.WithContext(inner.Context())
		}
		inner.Body = http.MaxBytesReader(w, inner.Body, m.cfg.MaxBodyBytes)
	}
	c := &call{permit: p, m: m}
	returned := false
	defer func() {
		if inner != r {
			carry(inner, r)
		}
		c.leave(inner, returned)
	}()
	reqstate.Serve(w, inner, next, c)
	returned = true
}

// carry makes what the mux and the handler left in a copy of the request known
// to the request itself: middlewares outside look for the pattern, and the
// server removes the temporary files of the form it finds here.
func carry(from, to *http.Request) {
	if from.Pattern != "" {
		to.Pattern = from.Pattern
	}
	if to.MultipartForm == nil {
		to.MultipartForm = from.MultipartForm
	}
}

// classify returns r, or a copy that has the class of its header.
func (m *middleware) classify(r *http.Request) *http.Request {
	name := r.Header.Get(m.cfg.Header)
	if name == "" {
		return r
	}
	c, ok := ParseCriticality(name)
	has := CriticalityFromContext(r.Context())
	if !ok || c == has || c > has && (m.cfg.Trusted == nil || !m.cfg.Trusted(r)) {
		return r
	}
	return r.WithContext(ContextWithCriticality(r.Context(), c))
}

// admit gets r its permit.
func (m *middleware) admit(r *http.Request) (*Permit, error) {
	if m.l.cfg.MaxBytes == 0 {
		return m.l.Acquire(r.Context())
	}
	n := r.ContentLength
	switch {
	case n < 0:
		n = m.cfg.MaxBodyBytes
	case n > m.cfg.MaxBodyBytes:
		m.l.tooLarge[CriticalityFromContext(r.Context()).rank()].Add(1)
		return nil, ErrTooLarge
	}
	return m.l.AcquireBytes(r.Context(), n)
}

// A call is a request that has a permit. It observes the shared state.
type call struct {
	permit *Permit
	m      *middleware
	state  *reqstate.State
}

func (c *call) Begin(s *reqstate.State, _ http.ResponseWriter, _ *http.Request) {
	c.state = s
	s.SetWriteTimeout(c.m.cfg.WriteTimeout)
}

func (c *call) Finish(*reqstate.Record) {}

// FirstChunk takes the latency of a stream as soon as it is known.
func (c *call) FirstChunk(rec *reqstate.Record) {
	c.judge(rec)
	c.permit.FirstByte()
}

// judge says what the answer says of the latency.
func (c *call) judge(rec *reqstate.Record) {
	switch status := rec.Sent; {
	case rec.Refused: // by another limiter, of a route: this one's service has done nothing
		c.permit.Ignore()
	case status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout:
		c.permit.Overloaded()
	case status >= 400 || status != 0 && status < 200:
		c.permit.Ignore()
	}
}

// leave is called when the handler is left, before the permit is released.
func (c *call) leave(r *http.Request, returned bool) {
	switch err := r.Context().Err(); {
	case err == context.DeadlineExceeded:
		c.permit.Overloaded()
	case err != nil || !returned:
		c.permit.Ignore()
	default:
		rec := c.state.Record()
		c.judge(&rec)
	}
}
