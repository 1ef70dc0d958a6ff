package concurrency

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/ballast-go/ballast/internal/problem"
)

// statusClientGone is nginx's "client closed request". It has no RFC.
const statusClientGone = 499

// WriteError answers r with what an error of [Limiter.Acquire] means to an
// HTTP client, as application/problem+json (RFC 9457). It must be the first to
// write to w. No text of err's reaches the client.
//
//   - [ErrQueueFull]: 503, reason "queue-full", with Retry-After.
//   - [ErrShed]: 503, reason "shed", with Retry-After.
//   - [ErrTimeout]: 503, reason "queue-timeout", with Retry-After.
//   - Any other error whose Retryable() is true: 503, reason "unavailable",
//     with Retry-After.
//   - [ErrTooLarge]: 413.
//   - context.DeadlineExceeded: 504.
//   - context.Canceled after r's own context was: 499, for logs and metrics.
//   - Everything else: 500.
//
// Retry-After is in seconds, RetryDelay rounded up and at least 1, and jittered
// upward.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	var transient interface {
		Retryable() bool
		RetryDelay() time.Duration
	}
	switch {
	case errors.As(err, &transient) && transient.Retryable():
		detail, reason := "The service is not available at the moment.", "unavailable"
		switch {
		case errors.Is(err, ErrQueueFull):
			detail, reason = "The service is at its limit, and so is its queue.", "queue-full"
		case errors.Is(err, ErrShed):
			detail, reason = "The service is at its limit and serves more important requests.", "shed"
		case errors.Is(err, ErrTimeout):
			detail, reason = "The service is at its limit and could not begin in time.", "queue-timeout"
		}
		problem.Write(w, r, http.StatusServiceUnavailable, detail, reason, max(time.Second, transient.RetryDelay()))
	case errors.Is(err, ErrTooLarge):
		problem.Write(w, r, http.StatusRequestEntityTooLarge, "The request is larger than the service accepts.", "", 0)
	case errors.Is(err, context.DeadlineExceeded):
		problem.Write(w, r, http.StatusGatewayTimeout, "The answer was not ready in time.", "", 0)
	case errors.Is(err, context.Canceled) && errors.Is(r.Context().Err(), context.Canceled):
		problem.Write(w, r, statusClientGone, "The client closed the request.", "", 0)
	default:
		problem.Write(w, r, http.StatusInternalServerError, "The request could not be processed.", "", 0)
	}
}
