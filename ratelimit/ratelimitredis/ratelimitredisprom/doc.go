// Package ratelimitredisprom shows Prometheus what a [ratelimitredis.Limiter]
// does: who is let through and who is turned away, whether Redis answers, and
// what it takes to ask it.
//
//	registry.MustRegister(ratelimitredisprom.NewCollector("api", limiter))
//
// # Series
//
// Each has the label limiter, which is the name given to NewCollector, and the
// one in braces.
//
//	ratelimitredis_calls_total{outcome}       counter  calls that are over, each once; see below
//	ratelimitredis_leased_calls_total         counter  of those allowed, the ones that a lease decided
//	ratelimitredis_returns_total{outcome}     counter  calls of Return: booked, lost
//	ratelimitredis_timeouts_total             counter  calls that Redis did not answer within Timeout
//	ratelimitredis_round_trips_total          counter  to Redis
//	ratelimitredis_combined_calls_total       counter  calls that shared the round trip of another
//	ratelimitredis_outages_total              counter  times that Redis stopped answering; in a cluster, of each shard
//	ratelimitredis_recoveries_total           counter  times that it came back
//	ratelimitredis_leases_total{event}        counter  leases taken; those of which a rest was returned, or was lost
//	ratelimitredis_down_shards                gauge    shards whose server does not answer
//	ratelimitredis_waiting_calls              gauge    calls that wait to be sent
//	ratelimitredis_in_flight_round_trips      gauge    round trips under way
//	ratelimitredis_leased_keys                gauge    keys that this process keeps leases of, or the demand for one
//	ratelimitredis_lease_holders              gauge    live holders that Redis last told of
//
// outcome of a call is one of
//
//	allowed           let through by Redis or by a lease
//	denied            turned away by Redis, or for asking more than Burst
//	failed_open       let through because Redis did not answer
//	failed_closed     turned away because Redis did not answer
//	fallback_allowed  let through by this replica's share
//	fallback_denied   turned away by this replica's share
//	canceled          the caller's context ended first
//	refused           in error: a negative cost, a bad limit, after Close
//
// There are 24 series, whatever the limiter's configuration.
//
// # Concurrency
//
// A collector is safe for concurrent use and keeps nothing between scrapes. It
// starts no goroutine; there is nothing to close. A scrape takes one snapshot.
//
// # What it does not do
//
// It has no series by key: what a client can choose must not size anything.
package ratelimitredisprom
