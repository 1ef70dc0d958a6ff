// Package ratelimitprom shows Prometheus what the limiters of packages
// ratelimit and concurrency do: who is let through and who is turned away, how
// many keys there are and for how many there is room, how many permits are out
// and how the adaptive limit finds its way.
//
//	registry.MustRegister(
//		ratelimitprom.NewCollector("api", keyed),
//		ratelimitprom.NewConcurrencyCollector("backend", permits),
//	)
//
// # Series of NewCollector
//
// Each has the label limiter, which is the name given to NewCollector, and the
// one in braces.
//
//	ratelimit_calls_total{outcome}   counter  calls that were decided: allowed, denied
//	ratelimit_overflow_calls_total   counter  of those, and of Returns into debt, the ones decided by or charged to a shared cell, for want of room
//	ratelimit_reused_cells_total     counter  how often a key got the cell of another that had recovered
//	ratelimit_keys                   gauge    keys that have used some of their burst and not recovered all of it
//	ratelimit_keys_limit             gauge    keys that there are cells for
//
// # Series of NewConcurrencyCollector
//
// Each has the label limiter, and those in braces. class is critical-plus,
// critical, sheddable-plus or sheddable.
//
//	concurrency_permits_total                  counter  permits given out
//	concurrency_rejected_total{class,reason}   counter  calls that got none; see below
//	concurrency_pressure_panics_total          counter  calls of Config.Pressure that panicked
//	concurrency_in_flight                      gauge    permits that are out
//	concurrency_limit                          gauge    permits that may be out at the moment, without regard to the pressure
//	concurrency_limit_max                      gauge    permits that may ever be out
//	concurrency_in_flight_bytes                gauge    what they were acquired for; 0 without Config.MaxBytes
//	concurrency_limit_bytes                    gauge    Config.MaxBytes
//	concurrency_queue_depth{class}             gauge    calls that wait
//	concurrency_queue_limit                    gauge    calls that may wait
//	concurrency_pressure_ratio                 gauge    what Config.Pressure last said, 0 to 1
//	concurrency_latency_seconds                gauge    of the last window; 0 before the first, and if the limit is static
//	concurrency_latency_baseline_seconds       gauge    what it is compared with; the same
//
// reason is one of
//
//	queue_full   ErrQueueFull
//	shed         ErrShed, when it came
//	displaced    ErrShed, when it waited: another took its place
//	timed_out    ErrTimeout
//	gone         the caller's context ended while it waited
//	too_large    ErrTooLarge
//
// There are 6 series of a limiter of keys and 39 of one of permits, whatever its
// configuration.
//
// # Queries
//
// How many of the calls are turned away, 0 to 1:
//
//	sum without (outcome) (rate(ratelimit_calls_total{outcome="denied"}[5m])) / sum without (outcome) (rate(ratelimit_calls_total[5m]))
//
// Whether MaxKeys is too small, so that honest keys may be denied for others:
//
//	rate(ratelimit_overflow_calls_total[5m]) > 0
//
// How full the table is, 0 to 1:
//
//	ratelimit_keys / ratelimit_keys_limit
//
// How many calls a second get no permit, by class:
//
//	sum by (limiter, class) (rate(concurrency_rejected_total[5m]))
//
// How much of what may be in flight is, 0 to 1, on average over the replicas:
//
//	avg by (limiter) (concurrency_in_flight / concurrency_limit)
//
// How much slower calls are than without contention:
//
//	concurrency_latency_seconds / (concurrency_latency_baseline_seconds > 0)
//
// # Concurrency
//
// A collector is safe for concurrent use and keeps nothing between scrapes. It
// starts no goroutine; there is nothing to close. A scrape takes one snapshot.
// That of a *[ratelimit.Keyed] looks at every cell, milliseconds for a million
// of them.
//
// # What it does not do
//
// Limits that processes share in Redis have a collector beside their own package,
// ratelimitredisprom, so that a Redis client is compiled by those alone who use
// one.
//
// It has no series by key: what a client can choose must not size anything.
// Which rule of [ratelimit.All] turns calls away is seen in the series of that
// rule's limiter. A call that one rule allowed and a later one denied is in
// both; that the first got it back is not counted.
package ratelimitprom
