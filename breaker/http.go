package breaker

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/ballast-go/ballast/internal/problem"
	"github.com/ballast-go/ballast/internal/reqstate"
)

// statusClientGone is nginx's "client closed request". It has no RFC.
const statusClientGone = 499

// WriteError answers r with what an error of a [Breaker] or of a call means to an
// HTTP client, as application/problem+json (RFC 9457). It must be the first to
// write to w. No text of err's reaches the client.
//
//   - *[OpenError]: 503, reason "breaker-open", with Retry-After.
//   - Any other error whose Retryable() is true: 503, reason "unavailable",
//     with Retry-After.
//   - context.DeadlineExceeded: 504.
//   - context.Canceled after r's own context was: 499, for logs and metrics.
//   - Everything else: 500.
//
// Retry-After is in seconds, RetryDelay rounded up and at least 1, and jittered
// upward. For an *OpenError, whether of a breaker in front of the service or of
// one in front of what it calls, a [Middleware] further out takes the answer for
// a refusal, which says nothing of the service. WriteError is what a
// httputil.ReverseProxy with a [NewTransport] wants as its ErrorHandler.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	var transient interface {
		Retryable() bool
		RetryDelay() time.Duration
	}
	const unavailable = http.StatusServiceUnavailable
	switch {
	case errors.Is(err, ErrOpen):
		refuse(r)
		var delay time.Duration
		if open, ok := errors.AsType[*OpenError](err); ok {
			delay = open.RetryAfter
		}
		problem.Write(w, r, unavailable, "What the service needs is broken at the moment.", "breaker-open", max(time.Second, delay))
	case errors.As(err, &transient) && transient.Retryable():
		problem.Write(w, r, unavailable, "The service is not available at the moment.", "unavailable", max(time.Second, transient.RetryDelay()))
	case errors.Is(err, context.DeadlineExceeded):
		problem.Write(w, r, http.StatusGatewayTimeout, "The answer was not ready in time.", "", 0)
	case errors.Is(err, context.Canceled) && errors.Is(r.Context().Err(), context.Canceled):
		problem.Write(w, r, statusClientGone, "The client closed the request.", "", 0)
	default:
		problem.Write(w, r, http.StatusInternalServerError, "The request could not be processed.", "", 0)
	}
}

// refuse notes that r is turned away, where somebody is there to note it.
func refuse(r *http.Request) {
	if s := reqstate.FromContext(r.Context()); s != nil {
		s.SetRefused()
	}
}

// judgeStatus is what a status says of who answers with it. One that asks its
// caller to slow down works: it has limits.
func judgeStatus(status int) Outcome {
	switch {
	case status >= 500:
		return Failure
	case status == statusClientGone, status == http.StatusTooManyRequests:
		return Ignore
	}
	return Success
}
