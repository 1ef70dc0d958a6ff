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
//	request_id          of the request that the context belongs to
//	trace_id, span_id   of the span that it is in (Config.TraceContext), else of the
//	                    request's, sampled or not
//	…          the attributes, as slog.JSONHandler has them, but for time.Time,
//	           which is in UTC, time.Duration, which is in seconds, and NaN and
//	           infinities, which are strings
//
// No stack is taken but of panics. To attach one, give it the name that their records
// have: slog.String("exception", string(debug.Stack())). An error is its text.
//
// A built-in name is there once: an attribute called "level" becomes "attr.level",
// while a request_id, trace_id or span_id given to With stands for the context's.
// Names that the caller uses twice are there twice, as in package slog.
//
// An access record has message "request" and, instead of the source, method,
// route, status, outcome, bytes_in, bytes_out, duration_ms, remote, user_agent,
// subject, reason (of a request that was turned away) and, for a stream,
// time_to_first_byte_ms, chunks and longest_gap_ms; the objects query and headers
// where MiddlewareConfig allows members; and what [AddAttrs] gave. Its level is
// ERROR for status 500 and above, WARN for a 503 that protects the service (whose reason
// is breaker-open, draining, queue-full, queue-timeout, shed or refused), else INFO or
// what MiddlewareConfig.Levels says; MiddlewareConfig.Sample thins out those of requests
// that went well. Route is the http.ServeMux pattern, never the path; the rest of
// the query and the header, and the body, are never logged.
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
// and attributes; one of [Logger.Usage] says what an inference took, for a bill. No
// level, sampling or buffer leaves one out. A record of a call that a client of
// [NewTransport] made has message "call".
//
// # Schemas
//
// The names above are those of the schema [Guide]. Config.Schema has others, which
// access, audit and panic records follow too:
//
//	Guide         ECS                          OTel                         GCP
//	timestamp     @timestamp                   timestamp                    time
//	level         log.level                    severity_text, -_number      severity
//	logger        log.logger                   scope_name                   logger
//	message       message                      body                         message
//	trace_id      trace.id                     trace_id                     logging.googleapis.com/trace
//	span_id       span.id                      span_id                      logging.googleapis.com/spanId
//	request_id    http.request.id              request_id                   request_id
//	module, function, line   log.origin.*      code.*                       logging.googleapis.com/sourceLocation
//	exception     error.stack_trace            exception.stacktrace         stack_trace
//	error         error.message                exception.message            error
//	method        http.request.method          http.request.method          httpRequest.requestMethod
//	status        http.response.status_code    http.response.status_code    httpRequest.status
//	duration_ms   event.duration (ns)          http.server.request.duration (s)   httpRequest.latency
//	route         labels.route                 http.route                   route
//	subject       user.id                      enduser.id                   subject
//
// In OTel all but the first six are members of "attributes". What a schema has no
// name for is below "labels." (ECS) or "ballast." (OTel). An attribute called
// "exception" or, if it is an error or a text, "error" or "err" goes by the schema's
// name too. A level between GCP's is in "level" besides.
//
// # Secrets
//
// "[redacted]" stands in for the values of what is named like a secret: attributes,
// members of groups, and of maps and structs at any depth, as encoding/json names
// them, and parameters in the query and fragment of a *url.URL. Case and
// punctuation do not matter, and of a dotted name the last part counts as well.
// Known are authorization, cookie, set-cookie, token, access_token, refresh_token,
// id_token, jwt, dsn and the like; all that ends in password(s), passwd, secret(s),
// api_key(s), access_key, secret_key, private_key or credential(s); and
// Config.RedactKeys. Tokens that are counted (prompt_tokens, time_to_first_token)
// are none.
//
// In a URL sig, signature, code and key are secrets, too, also in the text of a
// *url.Error, which HTTP clients and url.Parse return, and of a panic with one. One
// that quotes what is no URL is redacted altogether.
//
// Types redact themselves by LogValue (slog.LogValuer) or Redacted() string. An
// attribute that is a url.Userinfo, a private key or an http.Cookie is redacted.
// That is so of attributes and members of groups: inside a map, a slice or a struct
// encoding/json knows only MarshalJSON and MarshalText, and a *url.URL is a struct.
// Other texts are not searched: a secret in a message, an error or a string under an
// innocent name is logged.
//
// # Bounds, and clean text
//
// A message or value is cut at Config.MaxFieldBytes, at a rune's start, and ends in
// "…[+123 bytes]" then; one that encoding/json writes becomes a text of its
// beginning. A record has 128 attributes at most, groups and their members counted,
// 16 levels deep (what is in more of WithGroup's is in the 16th), and grows to Config.MaxRecordBytes; what is beyond is left out and
// counted in dropped_attributes. (While it is encoded, a value that encoding/json
// writes takes what it takes.)
//
// A record is one line, in both formats, whatever is logged: C0 and C1 controls,
// DEL, U+2028, U+2029, marks of direction and U+FEFF are escaped, in names too, so
// that a reader of JSON gets them back, and bytes that are not UTF-8 become U+FFFD.
// A value whose methods panic becomes a text that says so ("!PANIC: …"), one that
// cannot be encoded "!ERROR:…"; neither costs the record or the caller anything.
// Only what runs out of stack, never returns, or is a map that another goroutine
// changes meanwhile, is beyond help.
//
// # zap
//
// Records are appended to a buffer by an encoder of this package. Who has a zap core
// gets them there by Config.Core; code that logs through zap logs through this
// package by [Logger.ZapCore].
//
// # Place in the chain
//
// Recover is the outermost of all, so that a panic in any middleware is
// answered. Middleware comes next (after tracing, before metrics), so that the
// record covers everything behind it and all records have the request's id.
//
// # Concurrency and ownership
//
// Everything is safe for concurrent use. Records are written before the call
// returns, one at a time: an Output that is slow makes callers wait. Where that
// must not be, put an [AsyncWriter] between, which bounds what waits, drops and
// counts what is too much, and is the only part with a goroutine; who makes it
// closes it, after the server:
//
//	out, err := logging.NewAsyncWriter(os.Stdout, logging.AsyncConfig{})
//	…
//	l, err := logging.New(logging.Config{Output: out, Audit: ledger})
//	…
//	err = out.Close(ctx) // waits for what is buffered, or says how much is lost
//
// Audit records pass its buffer by, and wait for the writer.
//
// # What it does not do
//
// It does not rotate files or ship logs: write to stdout and let the platform
// collect. It does not log the bodies of requests and answers.
package logging
