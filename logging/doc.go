// Package logging writes structured logs with log/slog in front and a zap core
// behind, one access record per HTTP request, and turns panics into answers.
//
//	l, err := logging.New(logging.Config{Name: "model-serving"})
//	…
//	l.Slog().InfoContext(ctx, "model loaded", "model_id", id)
//	var h http.Handler = mux
//	h = logging.Middleware(l, logging.MiddlewareConfig{})(h)
//	h = logging.Recover(l)(h)
//
// # What a record holds
//
// One JSON object a line, written with one Write call:
//
//	timestamp  RFC 3339, UTC, nanoseconds
//	level      DEBUG, INFO, WARN, ERROR; others as slog prints them ("INFO+2")
//	logger     Config.Name
//	message
//	module     import path of the package that logs
//	function   and its function or method
//	line
//	request_id, trace_id, span_id   of the request that the context belongs to
//	…          the attributes, as slog.JSONHandler has them, but for
//	           time.Duration, which is in seconds, and NaN and infinities,
//	           which are strings
//
// An access record has message "request" and, instead of the source, method,
// route, status, outcome, bytes_out, duration_ms, remote, user_agent, subject
// and, for a stream, time_to_first_byte_ms, chunks and longest_gap_ms. Its
// level is ERROR for status 500 and above, else INFO. Route is the
// http.ServeMux pattern, never the path; the query, the body and other header
// fields are never logged.
//
// Status is the verdict that metrics counts too: what was sent, except where
// that would be a lie. Then sent_status holds what was sent.
//
//	outcome       status
//	complete      as sent
//	client-gone   499: cancelled, or a write failed, before all was sent
//	hijacked      101
//	timeout       503: an http.TimeoutHandler around it answered
//	panic         500
//	aborted       500: http.ErrAbortHandler or runtime.Goexit, nothing sent
//	upstream-cut  500: the answer broke off
//	error-event   500: an event stream carried an error event
//	expired       401, or the failure that was sent: package auth's EndAtExpiry
//	              had canceled the request before the answer was whole
//
// A client that closes only its sending half counts as gone, for net/http
// cancels the request then. So does a request that the service itself cancels,
// unless by a context with a cause (context.WithCancelCause).
//
// A record of [Logger.Audit] has logger "audit", its event as message, and the ids
// and attributes. It is written whatever the level is.
//
// # Place in the chain
//
// Recover is the outermost of all, so that a panic in any middleware is
// answered. Middleware comes next (after tracing, before metrics), so that the
// record covers everything behind it and all records have the request's id.
//
// # Concurrency and ownership
//
// Everything is safe for concurrent use. The package starts no goroutine, so
// that there is nothing to close; records are written before the call returns,
// one at a time.
//
// # What it does not do
//
// It does not rotate files, ship logs or buffer: write to stdout and let the
// platform collect. It does not log the bodies of requests and answers.
package logging
