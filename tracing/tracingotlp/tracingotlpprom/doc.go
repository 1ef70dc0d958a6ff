// Package tracingotlpprom shows Prometheus what becomes of the spans of a
// [tracingotlp.Provider]: what the collector has, what is lost and why, and how
// full the queue is.
//
//	registry.MustRegister(tracingotlpprom.NewCollector("default", provider))
//
// # Series
//
// Each has the label provider, which is the name given to NewCollector, and the
// one in braces.
//
//	tracingotlp_spans_started_total          counter  sampled spans that began
//	tracingotlp_spans_total{outcome}         counter  sampled spans that ended and are settled, each once; see below
//	tracingotlp_requests_total{outcome}      counter  requests to the collector: accepted, failed
//	tracingotlp_open_spans                   gauge    sampled spans that have not ended: if it only grows, some never do
//	tracingotlp_queue_spans                  gauge    spans that ended and that the collector does not have yet
//	tracingotlp_queue_bytes                  gauge    what they take in memory
//	tracingotlp_queue_capacity_spans         gauge    how many there may be
//
// outcome of a span is one of
//
//	exported        the collector has it
//	rejected        the collector accepted a request but for this one
//	failed          the collector did not accept it in time, or will never
//	dropped_full    the queue was full
//	dropped_large   it was too large
//	dropped_closed  it ended after Close, or Close could not wait for it
//
// There are 13 series. An alert on lost spans:
//
//	sum by (provider) (rate(tracingotlp_spans_total{outcome!="exported"}[5m])) > 0
//
// # Concurrency
//
// A collector is safe for concurrent use and keeps nothing between scrapes. It
// starts no goroutine; there is nothing to close. A scrape takes one snapshot.
//
// # What it does not do
//
// It has no series by service, route or span name: what a client can choose must
// not size anything.
package tracingotlpprom
