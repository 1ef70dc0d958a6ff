// Package tracing gives requests OpenTelemetry spans. It needs the OpenTelemetry API
// alone and works with any trace.TracerProvider; tracing/tracingotlp makes one that
// samples, exports by OTLP and never makes a request wait.
//
//	provider, err := tracingotlp.New(ctx, tracingotlp.Config{ServiceName: "model", Ratio: 0.01})
//	…
//	tp := provider.TracerProvider()
//	handler = tracing.Middleware(tp, tracing.MiddlewareConfig{Trust: tracing.TrustedPeers(mesh)})(handler)
//	client.Transport = tracing.NewTransport(nil, tp, tracing.TransportConfig{})
//	batcher, err := batching.New(run, batching.Config[Image]{OnBatch: tracing.BatchHook(tp)})
//
// For spans of their own, handlers use the OpenTelemetry API with the request's context.
//
//	Middleware, TrustedPeers  HTTP servers
//	NewTransport              HTTP clients: an attempt, or a call with its retries
//	BatchHook                 a span for each batch, and each request's share of it
//	IDs                       for logs
//	tracing/tracinggrpc       the same for gRPC
//
// # Whom it believes
//
// Nobody, unless MiddlewareConfig.Trust says so: a client that sends
// "traceparent: …-01" would else have each of its requests recorded, under ids of its
// choice. A request from such a client is the root of a trace of its own, sampled by
// the provider's rules, and its span, if it is recorded, links to the client's. From a
// trusted peer the trace is continued, with its tracestate (up to 512 bytes) and
// the baggage members that are named in BaggageKeys; and even then it is for
// MaxForced requests a second alone that its sampled flag counts.
//
// # The spans of requests
//
// A request's span is named "METHOD route", or "METHOD" where no pattern of the mux
// matched, never by its path. It has the attributes of the HTTP semantic conventions:
// http.request.method (and _original, where it is no standard one), http.route,
// http.response.status_code, http.request.body.size, http.response.body.size,
// url.scheme, network.peer.address and .port, network.protocol.version,
// user_agent.original (256 bytes) and error.type; url.path only with RecordPath. Then
// there are, where they apply,
//
//	ballast.outcome                      client-gone, upstream-cut, error-event, aborted, panic, timeout, hijacked, expired
//	ballast.reason                       why it was turned away: queue-full, shed, breaker-open, draining …
//	ballast.request.id                   as in the logs
//	ballast.stream.time_to_first_byte    seconds; and an event ballast.first_byte
//	ballast.stream.chunks, .longest_gap  and seconds
//
// The status is the verdict that logs and metrics have, too: 499 for a client that
// left, 500 for an answer that was cut. The span is an error from 500 on, with one
// exception to the conventions: a 503 that protects the service (whose reason is
// breaker-open, draining, queue-full, queue-timeout, shed or refused) is none, for
// shedding is no fault to be paged for. A panic is an event "exception"
// with the type of its value, and with its text only if that is the runtime's: any other
// may quote the request. Bodies, queries and header fields are never recorded.
//
// # Place in the chain
//
// Inside logging.Recover and outside all else, so that its ids are in every log
// record: recover, tracing, logging, metrics, auth, ratelimit, concurrency or breaker,
// handler, batching, backend. On a client it is there twice: tracing(call), logging,
// retry, breaker, ratelimit, auth, tracing(attempt), base; see TransportConfig.Call.
//
// # Costs
//
// A request that is not sampled costs a look at its header fields and what the
// provider makes of Start; its attributes are not computed, nor is its request copied
// for the span. Ids are there all the same.
//
// # Concurrency
//
// Everything is safe for concurrent use and starts no goroutine; there is nothing to
// close but the provider, by whoever made it.
//
// # What it does not do
//
// It exports nothing, and it records no logs or metrics. It does not look at
// X-Forwarded-For. A trusted peer's ids are believed: two requests with the same
// traceparent are two spans in one trace.
package tracing
