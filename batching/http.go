package batching

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/ballast-go/ballast/internal/problem"
)

// statusClientGone is nginx's "client closed request". It has no RFC.
const statusClientGone = 499

// WriteError answers r with what an error of [Batcher.Do] means to an HTTP
// client, as application/problem+json (RFC 9457). It must be the first to
// write to w. No text of err's reaches the client.
//
//   - [ErrQueueFull]: 503, reason "queue-full", with Retry-After.
//   - *[ShedError]: 503, reason "shed", with Retry-After.
//   - [ErrClosed]: 503, reason "draining", with Retry-After.
//   - Any other error whose Retryable() is true, such as an open circuit
//     breaker's behind run: 503, reason "unavailable", with Retry-After.
//   - [ErrBatchTimeout] and context.DeadlineExceeded: 504.
//   - [ErrTooLarge]: 413.
//   - context.Canceled after r's own context was: 499. The client has gone, so
//     this is for logs and metrics; and if it has not, because something else
//     canceled the context, it does not mistake silence for a 200.
//   - Everything else, [ErrNoResult] and *[PanicError] among it: 500.
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
			detail, reason = "More requests are waiting than the service accepts.", "queue-full"
		case errors.Is(err, ErrShed):
			detail, reason = "The answer would not be ready in time.", "shed"
		case errors.Is(err, ErrClosed):
			detail, reason = "This instance of the service is shutting down.", "draining"
		}
		problem.Write(w, r, http.StatusServiceUnavailable, detail, reason, max(time.Second, transient.RetryDelay()))
	case errors.Is(err, ErrTooLarge):
		problem.Write(w, r, http.StatusRequestEntityTooLarge, "The request is more than the model can process at once.", "", 0)
	case errors.Is(err, ErrBatchTimeout), errors.Is(err, context.DeadlineExceeded):
		problem.Write(w, r, http.StatusGatewayTimeout, "The answer was not ready in time.", "", 0)
	case errors.Is(err, context.Canceled) && errors.Is(r.Context().Err(), context.Canceled):
		problem.Write(w, r, statusClientGone, "The client closed the request.", "", 0)
	default:
		problem.Write(w, r, http.StatusInternalServerError, "The request could not be processed.", "", 0)
	}
}
