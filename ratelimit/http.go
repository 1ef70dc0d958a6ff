package ratelimit

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/ballast-go/ballast/internal/problem"
)

// statusClientGone is nginx's "client closed request". It has no RFC.
const statusClientGone = 499

// WriteError answers r with what an error of a [Limiter] or of [Reserve] means
// to an HTTP client, as application/problem+json (RFC 9457). It must be the
// first to write to w. No text of err's reaches the client.
//
//   - *[LimitedError]: 429, reason "rate-limited", with Retry-After. If it can
//     never succeed, because it asks for more than the limit allows at once:
//     429, reason "cost-exceeds-limit", without.
//   - Any other error whose Retryable() is true, such as that of a limiter
//     which cannot reach its server, or of [NewTransport] behind r's handler:
//     503, reason "unavailable", with Retry-After.
//   - context.DeadlineExceeded: 504.
//   - context.Canceled after r's own context was: 499. The client has gone, so
//     this is for logs and metrics.
//   - Everything else: 500.
//
// Retry-After is in seconds, RetryDelay rounded up and at least 1, and jittered
// upward by up to a quarter and a second, so that those who were turned away
// together do not come back together. It sets no RateLimit fields: that is
// [Decision.SetHeaders].
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	var transient interface {
		Retryable() bool
		RetryDelay() time.Duration
	}
	if limited, ok := errors.AsType[*LimitedError](err); ok {
		writeLimited(w, r, limited)
		return
	}
	switch {
	case errors.As(err, &transient) && transient.Retryable():
		problem.Write(w, r, http.StatusServiceUnavailable, "The service is not available at the moment.", "unavailable",
			max(time.Second, transient.RetryDelay()))
	case errors.Is(err, context.DeadlineExceeded):
		problem.Write(w, r, http.StatusGatewayTimeout, "The answer was not ready in time.", "", 0)
	case errors.Is(err, context.Canceled) && errors.Is(r.Context().Err(), context.Canceled):
		problem.Write(w, r, statusClientGone, "The client closed the request.", "", 0)
	default:
		problem.Write(w, r, http.StatusInternalServerError, "The request could not be processed.", "", 0)
	}
}

func writeLimited(w http.ResponseWriter, r *http.Request, e *LimitedError) {
	if !e.Retryable() {
		problem.Write(w, r, http.StatusTooManyRequests, "The request asks for more than the limit ever allows at once.", "cost-exceeds-limit", 0)
		return
	}
	problem.Write(w, r, http.StatusTooManyRequests, "The limit is used up for the moment.", "rate-limited",
		max(time.Second, e.RetryDelay()))
}
