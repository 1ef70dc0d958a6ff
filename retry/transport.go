package retry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/ballast-go/ballast/internal/retryafter"
	"github.com/ballast-go/ballast/internal/retrypaid"
)

const defaultMaxBody = 64 << 10

// TransportConfig configures [NewTransport]. The zero value is useful.
type TransportConfig struct {
	// Idempotent says of a request with another method than GET, HEAD, OPTIONS,
	// TRACE, PUT and DELETE (RFC 9110 §9.2.2), and without the field Idempotency-Key
	// or X-Idempotency-Key, that it may be sent twice. nil says it of none.
	Idempotent func(*http.Request) bool

	// Status says which answers are failures to try again. nil means 408, 425, 429,
	// 500, 502, 503 and 504.
	Status func(code int) bool

	// MaxBody is the longest body, in bytes, that is kept in memory to be sent again.
	// It is read before the first attempt: a body that is written only as answers to
	// it arrive must not be a PUT's, or any that may be sent twice. Bodies with a
	// GetBody, as http.NewRequest makes them from bytes and strings, need no keeping.
	// 0 means 64 KiB.
	MaxBody int64

	// Hedger makes a second attempt where the first takes long, see [Hedge]; of
	// requests that may be sent twice only. An answer that Status calls a failure is
	// none while there may be a better one; of its body 64 KiB are kept. nil makes
	// none.
	Hedger *Hedger

	_ struct{}
}

// NewTransport returns a base that makes requests again, as r does calls. It
// returns the first answer that is no failure, or the last one, whatever it is: an
// error, an *[Error] if it was retryable, only where there was no answer.
//
// What may not be sent twice is sent once: requests that are not idempotent, those
// that switch protocols, and those whose body is longer than MaxBody (then an error
// is an *[Error] that is [ErrBodyTooLarge]). Those that switch protocols are not
// touched at all. Once an answer is returned nothing is sent again, whatever becomes
// of its body. Config.Retryable is asked about errors, never about answers.
//
// Retry-After, in seconds or as a date, is the least that is waited, up to
// Config.MaxDelay. Answers that are not returned are drained, up to 64 KiB of
// them, so that connections are used again, and closed. Config.PerAttempt is until the
// header of an answer is there, whether or not the request may be sent twice, and a
// body may take longer.
//
// Attempts after the first say so in [AttemptHeader], and all say in [TimeoutHeader]
// how long their context lets them wait, unless the caller has set less. The request
// itself is not changed.
//
// A nil base is http.DefaultTransport. NewTransport panics if r is nil or MaxBody
// negative.
func NewTransport(base http.RoundTripper, r *Retrier, cfg TransportConfig) http.RoundTripper {
	if r == nil {
		panic("retry: NewTransport with a nil *Retrier")
	}
	if cfg.MaxBody < 0 {
		panic("retry: TransportConfig.MaxBody is negative")
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = defaultMaxBody
	}
	cfg.MaxBody = min(cfg.MaxBody, math.MaxInt64-1) // one byte more is read, to see whether there is
	if cfg.Status == nil {
		cfg.Status = isTransient
	}
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{base, r, cfg}
}

// isTransient is for statuses that another attempt may change.
func isTransient(code int) bool {
	switch code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

type transport struct {
	base http.RoundTripper
	r    *Retrier
	cfg  TransportConfig
}

// CloseIdleConnections is for http.Client's.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if ctx.Err() != nil {
		closeBody(r)
		return nil, ended(ctx)
	}
	if r.URL == nil || isUpgrade(r) {
		return t.base.RoundTrip(r)
	}
	if Attempt(ctx) == 1 { // else retries would pay for retries
		t.r.budget.deposit()
	}
	if !t.isIdempotent(r) {
		return t.send(ctx, r)
	}
	again := true
	if hasBody(r) && r.GetBody == nil {
		var err error
		if r, again, err = keep(r, t.cfg.MaxBody); err != nil {
			return nil, fmt.Errorf("retry: the request's body: %w", err)
		}
	}
	resp, err := t.attempt(ctx, r, again)
	if err == nil && !t.cfg.Status(resp.StatusCode) {
		return resp, nil
	}
	return t.retry(r, resp, err, again)
}

// retry makes attempts after the first, which had this outcome.
func (t *transport) retry(r *http.Request, resp *http.Response, err error, again bool) (*http.Response, error) {
	c := call{r: t.r, ctx: r.Context()}
	if !again {
		if err == nil || !t.r.worthRetrying(err) || c.ctx.Err() != nil {
			return resp, err
		}
		c.attempts++
		t.r.counters.permanent.Add(1)
		return nil, c.giveUp(err, ErrBodyTooLarge)
	}
	for {
		if err == nil && !t.cfg.Status(resp.StatusCode) {
			t.r.counters.recovered.Add(1)
			return resp, nil
		}
		delay, over := c.decide(failure(resp, err))
		if over != nil {
			if err == nil {
				return resp, nil
			}
			return nil, over
		}
		if err == nil {
			drain(resp)
		}
		if err := c.pause(delay); err != nil {
			return nil, err
		}
		next := r
		if hasBody(r) {
			if next, err = withBody(r); err != nil {
				t.r.counters.permanent.Add(1)
				return nil, err
			}
		}
		t.r.counters.retries.Add(1)
		resp, err = t.attempt(ContextWithAttempt(c.ctx, c.attempts+1), next, true)
	}
}

// attempt sends r once, or a second time besides if that may be and is wanted.
func (t *transport) attempt(ctx context.Context, r *http.Request, again bool) (*http.Response, error) {
	if t.cfg.Hedger == nil || !again || Attempt(ctx) > 1 {
		return t.send(ctx, r)
	}
	if hasBody(r) {
		defer closeBody(r) // each has one of its own
	}
	r = r.Clone(ctx) // losers go on when the caller has its request back
	resp, release, err := hedge(retrypaid.Into(ctx, t.r.budget), t.cfg.Hedger, func(ctx context.Context) (*http.Response, error) {
		own := r
		if hasBody(r) {
			var err error
			if own, err = withBody(r); err != nil {
				return nil, err
			}
		}
		resp, err := t.send(ctx, own)
		if err == nil && t.cfg.Status(resp.StatusCode) {
			detach(resp)
			return nil, &poorAnswer{resp}
		}
		return resp, err
	}, drain)
	if poor, ok := errors.AsType[*poorAnswer](err); ok && ctx.Err() == nil {
		return poor.resp, nil
	}
	return withRelease(resp, release), err
}

// A poorAnswer is one that a better may still come in place of, while a hedge runs.
type poorAnswer struct{ resp *http.Response }

func (p *poorAnswer) Error() string { return fmt.Sprintf("status %d", p.resp.StatusCode) }

// send sends r, within the time for an attempt.
func (t *transport) send(ctx context.Context, r *http.Request) (*http.Response, error) {
	limit := t.r.perAttempt
	if limit == 0 {
		return t.base.RoundTrip(announce(r, ctx))
	}
	// Not a deadline, which would cut the answer's body.
	ctx, cancel := context.WithCancelCause(ctx)
	answered := false
	defer func() {
		if !answered {
			cancel(nil)
		}
	}()
	timer := time.AfterFunc(limit, func() { cancel(ErrAttemptTimeout) })
	defer timer.Stop()
	resp, err := t.base.RoundTrip(announce(r, ctx))
	switch {
	case err == nil && timer.Stop():
		answered = true
		return withRelease(resp, func() { cancel(nil) }), nil
	case err == nil: // it came together with the end of its time
		_ = resp.Body.Close()
		return nil, ErrAttemptTimeout
	case context.Cause(ctx) != ErrAttemptTimeout:
	case errors.Is(err, context.Canceled): // by us, as HTTP/2 says it; not by the caller
		err = ErrAttemptTimeout
	case !errors.Is(err, ErrAttemptTimeout):
		err = fmt.Errorf("%w: %w", ErrAttemptTimeout, err)
	}
	return nil, err
}

// withRelease has release called when the answer's body has ended.
func withRelease(resp *http.Response, release func()) *http.Response {
	switch {
	case resp == nil:
	case resp.Body == http.NoBody || resp.Body == nil:
		release()
	default:
		resp.Body = &answer{ReadCloser: resp.Body, release: release}
	}
	return resp
}

// withBody returns r with a body of its own.
func withBody(r *http.Request) (*http.Request, error) {
	body, err := r.GetBody()
	if err != nil {
		return nil, Permanent(fmt.Errorf("retry: the request's body: %w", err))
	}
	r = r.WithContext(r.Context())
	r.Body = body
	return r, nil
}

func hasBody(r *http.Request) bool { return r.Body != nil && r.Body != http.NoBody }

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close() // RoundTripper must, on errors too
	}
}

// isIdempotent reports whether r may be sent twice.
func (t *transport) isIdempotent(r *http.Request) bool {
	switch r.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return r.Header["Idempotency-Key"] != nil || r.Header["X-Idempotency-Key"] != nil ||
		t.cfg.Idempotent != nil && t.cfg.Idempotent(r)
}

// isUpgrade reports whether a request asks for another protocol on its connection
// (RFC 9110 §7.8), or for a tunnel (§9.3.6, and WebSockets by RFC 8441), which is
// then the caller's.
func isUpgrade(r *http.Request) bool {
	if r.Method == http.MethodConnect {
		return true
	}
	if r.Header["Upgrade"] == nil {
		return false
	}
	for _, v := range r.Header["Connection"] {
		for name := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(name), "upgrade") {
				return true
			}
		}
	}
	return false
}

// failure is the error that stands for an attempt's outcome.
func failure(resp *http.Response, err error) error {
	if err == nil {
		return &statusError{resp.StatusCode, retryafter.Parse(resp.Header, time.Now())}
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return Permanent(err)
	}
	return err
}

// A statusError is an answer that was a failure.
type statusError struct {
	code  int
	after time.Duration
}

func (e *statusError) Error() string             { return fmt.Sprintf("status %d", e.code) }
func (e *statusError) Retryable() bool           { return true }
func (e *statusError) RetryDelay() time.Duration { return e.after }
