// Package metrics counts a service's HTTP requests, its calls and its models' work
// for Prometheus, with a number of series that no client can raise beyond a bound.
//
//	m, err := metrics.New(metrics.Config{}) // a registry of its own
//	if err != nil {
//		log.Fatal(err)
//	}
//	mux.Handle("GET /metrics", m.Handler())
//	http.ListenAndServe(addr, metrics.Middleware(m, metrics.MiddlewareConfig{})(mux))
//
// # Series
//
//	http_requests_total{method,endpoint,status,reason}  counter    every request, once, when it is over
//	http_request_duration_seconds{method,endpoint}      histogram  0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10
//	http_request_size_bytes{method,endpoint}            histogram  256 to 64 Mi, by four; of the body, as far as it was read
//	http_response_size_bytes{method,endpoint}           histogram  the same; of the body
//	http_requests_active                                gauge      requests being handled now
//	model_info{model_id,version,framework}              gauge      1 for each registered model
//	model_inference_duration_seconds{model_id}          histogram  0.01 0.05 0.1 0.25 0.5 1 2.5 5
//	prediction_errors_total{model_id,error_type}        counter    as reported with [Model.CountError] and [Timed]
//	metrics_overflow_total{of}                          counter    what was counted as "_other" for want of room
//
// Once there is a [NewTransport] there are http_client_requests_total{client,method,status},
// http_client_request_duration_seconds{client,method} and
// http_client_requests_active{client}; [GenAI] says what it has.
//
// method is one of the nine of RFC 9110 and RFC 5789, else "_other". endpoint
// is the [http.ServeMux] pattern without its method, "unmatched" if there was
// none, never the path. status is what was sent, except where that would be a
// lie: 499 if the client went away first, 101 after a hijack, 503 if an
// [http.TimeoutHandler] around the middleware answered instead, 401 if package
// auth cut the answer off because the credential had ended, and 500 for a panic,
// an abort, an answer that was cut short and an error event inside a stream.
// reason says why a request was turned away, such as "rate-limited", "shed",
// "queue-full" or "draining", and is empty, which in Prometheus is the same as not
// there, for all others. Duration runs from the first Ballast middleware's entry
// until its handler was left; for a stream that is its life.
//
// With [Config].Names OTel requests have the names of OpenTelemetry's semantic
// conventions 1.42.0 instead, as Prometheus spells them:
//
//	http_server_request_duration_seconds     histogram  by http_request_method, url_scheme, error_type,
//	                                                    http_response_status_code, http_route, network_protocol_version
//	http_server_request_body_size_bytes      histogram  by http_request_method, url_scheme, http_route
//	http_server_response_body_size_bytes     histogram  the same
//	http_server_active_requests              gauge      by http_request_method, url_scheme
//	http_client_request_duration_seconds     histogram  by http_request_method, server_address, server_port, error_type,
//	                                                    http_response_status_code, network_protocol_version
//	http_client_active_requests              gauge      by http_request_method, server_address, server_port
//
// Two things are Ballast's own: the status is the one above, also where another
// or none was sent, and error_type, which is there from 500 on, is the reason of a
// rejection, else "panic", "aborted", "upstream-cut", "error-event" or "timeout", else
// the status. url_scheme is that of the connection.
//
// # Failures
//
// A request has failed if its status is 500 or above, but for rejections whose reason
// is breaker-open, draining, queue-full, queue-timeout, refused or shed: they are what
// keeps a service up, and must neither wake anybody nor roll a canary back. 429 and
// 499 are no failures. Mind both sides when you divide,
//
//	sum by (endpoint) (rate(http_requests_total{status=~"5..",reason!~"breaker-open|draining|queue-full|queue-timeout|refused|shed"}[5m]))
//	  / sum by (endpoint) (rate(http_requests_total[5m]))
//
// for without the sums each failing series is divided by itself. [Rules] writes the
// alerts for an objective.
//
// # Bounds
//
// At most [Config].MaxSeries combinations of a request's labels get a series of their
// own. Whatever comes later is counted as endpoint "_other" with the class of its
// status, such as "5xx", which status=~"5.." matches too, or with 401, 403 or 429, and,
// if it was such a rejection, the reason "refused": at most 230 series more, and three
// histograms for each method. A route above 256 bytes, which no ServeMux pattern has but
// a foreign router's may, is treated the same. There are 31 reasons and "_other". Models
// are registered by name, at most [Config].MaxModels of them, with at most 32 error types
// each. metrics_overflow_total tells when a bound was reached. A client can use up
// MaxSeries where patterns do not name their method, with ten methods a route; name it.
//
// # Histograms
//
// They are this package's own, at less than half of client_golang's cost. A sampled
// span's ids become the exemplar of its bucket, at most once a second each; a Prometheus
// that asks for OpenMetrics gets them. With [Config].NativeHistograms they have native
// buckets too. A scrape may find an observation in the count that is not yet in the sum.
//
// # Place in the chain
//
// logging.Recover → tracing → logging → metrics → auth → ratelimit →
// concurrency/breaker → handler. It stands before whatever rejects, so that
// rejections are counted; what is rejected before the mux is "unmatched". What
// copies the request stands further out, see the examples. A panic is counted
// and goes on.
//
// # Concurrency
//
// Everything is safe for concurrent use. Counting takes no lock and, once a
// combination has been seen, allocates nothing but exemplars. The package starts no
// goroutine; [Metrics.Close] is for programs that outlive their service.
//
// # What it does not do
//
// No labels from paths, headers, tenants or request ids: that is what logs and
// traces are for. No pushing, no storage, no global registry. It does not guard the
// page: serve it where only Prometheus can reach it.
package metrics
