package ratelimit

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/ballast-go/ballast/internal/retryafter"
)

const (
	// defaultMaxRetryAfter is the threshold that §8.5.1 of the RateLimit draft
	// suggests to clients.
	defaultMaxRetryAfter = 10 * time.Minute

	// maxHolds is how many hosts a transport remembers a Retry-After of.
	maxHolds = 1024
)

// TransportConfig configures [NewTransport].
type TransportConfig struct {
	// MaxRetryAfter is as long as a peer's Retry-After is honoured at most; one
	// that is longer counts as this. 0 means 10 minutes. A negative one ignores
	// every Retry-After: so set it in a gateway whose upstream limits each of the
	// gateway's own clients, or one that is over its limit would hold back all.
	MaxRetryAfter time.Duration

	_ struct{}
}

// NewTransport returns a base that keeps to limits. Before a call it waits
//
//   - while the host asks for it: a 429 or 503 with Retry-After, in seconds or
//     as a date, holds further calls to the host and port in the request's URL
//     back until then;
//   - then until l lets one more through.
//
// A wait ends with the request's context. One that would outlast the context's
// deadline fails at once, before the peer sees the request, with an error that
// is [ErrLimited] and context.DeadlineExceeded, and whose RetryDelay() is the
// wait; [WriteError] answers 503 to it. The response that asked to come back
// later is returned as it is: the transport never retries. It remembers 1024
// hosts, and past that forgets those first that can be called again soonest. What
// l let through for a call that is then held back is not given back to l.
//
// A nil base is http.DefaultTransport, a nil l lets everything through.
func NewTransport(base http.RoundTripper, l *rate.Limiter, cfg TransportConfig) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	if cfg.MaxRetryAfter == 0 {
		cfg.MaxRetryAfter = defaultMaxRetryAfter
	}
	return &transport{base: base, pace: l, longest: cfg.MaxRetryAfter, holds: make(map[string]time.Time)}
}

type transport struct {
	base    http.RoundTripper
	pace    *rate.Limiter
	longest time.Duration

	mu    sync.Mutex
	holds map[string]time.Time // until when not to call a host
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	host := ""
	if r.URL != nil { // else base says so
		host = strings.ToLower(r.URL.Host)
	}
	if err := t.wait(r.Context(), host); err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // RoundTripper must, on errors too
		}
		return nil, err
	}
	resp, err := t.base.RoundTrip(r)
	if err == nil && (resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable) {
		t.hold(host, resp.Header)
	}
	return resp, err
}

// CloseIdleConnections is for http.Client's.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// wait returns when host may be called.
func (t *transport) wait(ctx context.Context, host string) error {
	held := t.held(host)
	for {
		// As often as an answer to somebody else asks for more meanwhile.
		for ; held > 0; held = t.held(host) {
			if err := sleep(ctx, held); err != nil {
				return err
			}
		}
		if t.pace == nil {
			return nil
		}
		if err := t.pace.Wait(ctx); err != nil {
			return t.refused(ctx, err)
		}
		if held = t.held(host); held <= 0 {
			return nil
		}
	}
}

// sleep waits for d, or returns why that is of no use.
func sleep(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx) // as http.Transport does
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return &waitError{d, context.DeadlineExceeded}
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// refused words an error of t.pace.Wait, which took nothing.
func (t *transport) refused(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	limit := t.pace.Limit()
	if t.pace.Burst() < 1 || limit <= 0 {
		return &waitError{rate.InfDuration, err}
	}
	missing := max(0, 1-t.pace.Tokens())
	return &waitError{time.Duration(min(missing/float64(limit)*1e9, math.MaxInt64/2)), context.DeadlineExceeded}
}

// A waitError says that a call would have to wait for longer than it can.
type waitError struct {
	delay time.Duration // rate.InfDuration: forever
	cause error
}

func (e *waitError) Error() string {
	if !e.Retryable() {
		return fmt.Sprintf("ratelimit: no call is ever let through: %v", e.cause)
	}
	return fmt.Sprintf("ratelimit: the call would have to wait %v, past its deadline", e.delay)
}

func (e *waitError) Is(target error) bool { return target == ErrLimited }
func (e *waitError) Unwrap() error        { return e.cause }
func (e *waitError) Retryable() bool      { return e.delay != rate.InfDuration }
func (e *waitError) RetryDelay() time.Duration {
	if !e.Retryable() {
		return 0
	}
	return e.delay
}

// held returns for how long host must not be called; 0 or less if it may be.
func (t *transport) held(host string) time.Duration {
	t.mu.Lock()
	until, ok := t.holds[host]
	t.mu.Unlock()
	if !ok {
		return 0
	}
	return time.Until(until)
}

// hold keeps calls from host for as long as the answer with header h asks.
func (t *transport) hold(host string, h http.Header) {
	now := time.Now()
	d := min(retryafter.Parse(h, now), t.longest)
	if d <= 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	until := now.Add(d)
	last, ok := t.holds[host]
	if !ok && len(t.holds) >= maxHolds {
		t.forget()
	}
	if until.After(last) {
		t.holds[host] = until
	}
}

// forget makes room by what can be called again soonest. t.mu is held.
func (t *transport) forget() {
	var soonest string
	var when time.Time
	for host, until := range t.holds {
		if when.IsZero() || until.Before(when) {
			soonest, when = host, until
		}
	}
	delete(t.holds, soonest)
}
