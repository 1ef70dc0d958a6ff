package breaker

import (
	"context"
	"io"
	"net/http"
	"os"
)

// TransportConfig configures [NewTransport]. The zero value is useful.
type TransportConfig struct {
	// Pick chooses the breaker of a request, such as one of a [Group]'s, instead
	// of the one that NewTransport was given, which may be nil then. A request for
	// which it returns nil passes, and is judged by nobody. It must not read the
	// body.
	Pick func(*http.Request) *Breaker

	// Judge says what the status of an answer says of its server; 101 is one. nil
	// means: 500 and above are failures, 429 and 499 are ignored, and all others
	// are successes.
	Judge func(r *http.Request, status int) Outcome

	_ struct{}
}

// NewTransport returns a base that asks b about each request, and answers those
// that b does not let through with its *[OpenError], which errors.Is and errors.As
// find in what an http.Client returns.
//
// It judges the others by all that becomes of them:
//
//   - An error instead of an answer is what Config.Classify says of it, as in
//     [Breaker.Do]. It is ignored if the request's context was canceled, or if
//     what could not be read was the request's own body.
//   - A status that is no success, see TransportConfig.Judge, is reported as soon
//     as it is there.
//   - Otherwise the body tells. A success is one that is read to its end, or
//     closed before by a reader who has had enough. A body that breaks off is a
//     failure, with an io.ErrUnexpectedEOF, a reset stream or any other error, and
//     so are an error event in a text/event-stream and a deadline of the context
//     that passes. If the context was canceled, the body is ignored.
//   - Where there is no body, and with 101 Switching Protocols, the header is all
//     there is. What was upgraded is passed on as it is.
//   - Panics and runtime.Goexit of base are failures, and go on.
//
// The service time, for Config.SlowAfter and for the recovery, is that until the
// first byte of the body. As ever with http.RoundTripper, whoever gets a body must
// close it: else nothing is known of the call but that first byte.
//
// A nil base is http.DefaultTransport. It panics if b and cfg.Pick are nil.
func NewTransport(base http.RoundTripper, b *Breaker, cfg TransportConfig) http.RoundTripper {
	if b == nil && cfg.Pick == nil {
		panic("breaker: NewTransport of a nil *Breaker")
	}
	if base == nil {
		base = http.DefaultTransport
	}
	if cfg.Judge == nil {
		cfg.Judge = func(_ *http.Request, status int) Outcome { return judgeStatus(status) }
	}
	return &transport{base, b, cfg}
}

type transport struct {
	base http.RoundTripper
	b    *Breaker
	cfg  TransportConfig
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	b := t.b
	if t.cfg.Pick != nil {
		if b = t.cfg.Pick(r); b == nil {
			return t.base.RoundTrip(r)
		}
	}
	permit, err := admit(r.Context(), b)
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // RoundTripper must, on errors too
		}
		return nil, err
	}
	e := &exchange{permit: permit, ctx: r.Context()}
	out := e.watchUpload(r)
	judged := false
	var resp *http.Response
	defer func() {
		if judged {
			return
		}
		permit.Done(Failure)
		if resp != nil && resp.Body != nil { // Judge has panicked, and nobody else will
			_ = resp.Body.Close()
		}
	}()
	resp, err = t.base.RoundTrip(out)
	o := t.judge(e, b, r, resp, err)
	judged = true
	if o != Success || err != nil || isAllThere(r, resp) {
		permit.Done(o)
	} else {
		e.watch(resp)
	}
	if resp != nil && resp.Request == out {
		resp.Request = r
	}
	return resp, err
}

// judge says what is known as soon as base has returned.
func (t *transport) judge(e *exchange, b *Breaker, r *http.Request, resp *http.Response, err error) Outcome {
	switch {
	case err != nil && e.isExcused():
		return Ignore
	case err != nil:
		return b.classify(e.ctx, err)
	case resp == nil:
		return Failure // of base to keep to http.RoundTripper's contract
	}
	return t.cfg.Judge(r, resp.StatusCode)
}

// CloseIdleConnections is for http.Client's.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// admit asks b, unless there is no sense in a call.
func admit(ctx context.Context, b *Breaker) (*Permit, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx) // as http.Transport does
	}
	return b.Allow()
}

// isAllThere reports whether there is nothing to learn from resp's body: there
// is none (RFC 9110 §6.4.1), or it is a connection that has been handed over.
func isAllThere(r *http.Request, resp *http.Response) bool {
	switch {
	case resp.Body == nil, resp.Body == http.NoBody, r.Method == http.MethodHead:
		return true
	case resp.ContentLength == 0 && resp.ProtoMajor > 0: // HTTP/2 has a NoBody of its own; a response made by hand says nothing
		return true
	case resp.StatusCode == http.StatusNoContent, resp.StatusCode == http.StatusNotModified:
		return true
	}
	_, twoWay := resp.Body.(io.Writer)
	return twoWay
}

// watchUpload returns r, or a copy whose body tells whether it failed: in a
// gateway that is a client that broke off, which would open the breaker to
// everybody else. What has GetBody is in memory, and a file is here; both are
// better off as what http.Transport knows them for.
func (e *exchange) watchUpload(r *http.Request) *http.Request {
	if r.Body == nil || r.Body == http.NoBody || r.GetBody != nil {
		return r
	}
	if _, ok := r.Body.(*os.File); ok {
		return r
	}
	e.upload = &upload{ReadCloser: r.Body}
	r = r.WithContext(r.Context())
	r.Body = e.upload
	return r
}
