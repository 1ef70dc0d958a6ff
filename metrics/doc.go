// Package metrics counts a service's HTTP requests and its models' work for
// Prometheus, with a number of series that no client can raise beyond a bound.
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
//	http_requests_total{method,endpoint,status}     counter    every request, once, when it is over
//	http_request_duration_seconds{method,endpoint}  histogram  0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10
//	http_requests_active                            gauge      requests being handled now
//	model_info{model_id,version,framework}          gauge      1 for each registered model
//	model_inference_duration_seconds{model_id}      histogram  0.01 0.05 0.1 0.25 0.5 1 2.5 5
//	prediction_errors_total{model_id,error_type}    counter    as reported with [Model.CountError]
//
// method is one of the nine of RFC 9110 and RFC 5789, else "_other". endpoint
// is the [http.ServeMux] pattern without its method, "unmatched" if there was
// none, never the path. status is what was sent, except where that would be a
// lie: 499 if the client went away first, 101 after a hijack, 503 if an
// [http.TimeoutHandler] around the middleware answered instead, 401 if package
// auth cut the answer off because the credential had ended, and 500 for a panic,
// an abort, an answer that was cut short and an error event inside a stream. Duration runs from the first Ballast middleware's entry until its
// handler was left; for a stream that is its life.
//
// # Bounds
//
// At most [Config].MaxSeries combinations of method, endpoint and status get
// a series of their own. Whatever comes later is counted as endpoint "_other"
// with the class of its status, such as "5xx", which status=~"5.." matches
// too: at most 100 series more, and one histogram for each method. A route
// above 256 bytes, which no ServeMux pattern has but a foreign router's may,
// is treated the same. Models are registered by name, at most
// [Config].MaxModels of them, with at most 32 error types each. A client can
// use up MaxSeries where patterns do not name their method, with ten methods a
// route; name it.
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
// combination has been seen, allocates nothing. The package starts no
// goroutine; there is nothing to close.
//
// # What it does not do
//
// No labels from paths, headers, tenants or request ids: that is what logs and
// traces are for. No pushing, no storage, no alerting, no global registry. It
// does not guard the page: serve it where only Prometheus can reach it.
package metrics
