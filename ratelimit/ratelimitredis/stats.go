package ratelimitredis

import "sync/atomic"

// Stats is a snapshot of a [Limiter]. The uint64 fields count since New and
// never fall; the int fields are as of now.
//
// Every call of AllowN that is over is in exactly one of Allowed, Denied,
// FailedOpen, FailedClosed, FallbackAllowed, FallbackDenied, Canceled and
// Refused.
type Stats struct {
	Allowed uint64 // calls let through by Redis or by a lease
	Denied  uint64 // calls turned away by Redis, or because they ask for more than Burst
	Leased  uint64 // of those allowed, the ones that a lease decided: without Redis

	FailedOpen      uint64 // calls let through because Redis did not answer: FailOpen
	FailedClosed    uint64 // calls turned away because Redis did not answer: FailClosed
	FallbackAllowed uint64 // calls let through by this replica's share: LocalFallback
	FallbackDenied  uint64 // calls turned away by this replica's share: LocalFallback

	Canceled uint64 // calls whose context ended first
	Refused  uint64 // calls that were in error: a negative cost, a bad limit of LimitFor's, after Close

	Returned     uint64 // calls of Return that were booked
	ReturnedLost uint64 // calls of Return that Redis did not answer: not booked, as far as is known

	Timeouts   uint64 // calls, of either kind, that Redis did not answer within Timeout
	RoundTrips uint64 // to Redis
	Combined   uint64 // calls that shared the round trip of another
	Outages    uint64 // times that Redis stopped answering; in a cluster, of each shard
	Recovered  uint64 // times that it came back

	LeasesTaken    uint64 // leases got from Redis
	LeasesReturned uint64 // leases of which a rest was given back
	LeasesLost     uint64 // rests that could not be given back: charged, and used by nobody

	Down       int // shards whose server does not answer
	Waiting    int // calls that wait to be sent
	InFlight   int // round trips under way
	LeasedKeys int // keys that this process keeps leases of, or the demand for one
	Holders    int // live holders that Redis last told of; 0 in exact mode
}

// counters are what Stats counts.
type counters struct {
	allowed, denied                         atomic.Uint64
	failedOpen, failedClosed                atomic.Uint64
	fallbackAllowed, fallbackDenied         atomic.Uint64
	canceled, refused                       atomic.Uint64
	returned, returnedLost                  atomic.Uint64
	timeouts, roundTrips, sent              atomic.Uint64
	outages, recovered                      atomic.Uint64
	leasesTaken, leasesReturned, leasesLost atomic.Uint64
}

// Stats takes a snapshot. It is safe for concurrent use.
func (l *Limiter) Stats() Stats {
	c := &l.stats
	s := Stats{
		Allowed: c.allowed.Load(), Denied: c.denied.Load(), Leased: l.leases.served(),
		FailedOpen: c.failedOpen.Load(), FailedClosed: c.failedClosed.Load(),
		FallbackAllowed: c.fallbackAllowed.Load(), FallbackDenied: c.fallbackDenied.Load(),
		Canceled: c.canceled.Load(), Refused: c.refused.Load(),
		Returned: c.returned.Load(), ReturnedLost: c.returnedLost.Load(),
		Timeouts: c.timeouts.Load(), RoundTrips: c.roundTrips.Load(),
		Outages: c.outages.Load(), Recovered: c.recovered.Load(),
		LeasesTaken: c.leasesTaken.Load(), LeasesReturned: c.leasesReturned.Load(), LeasesLost: c.leasesLost.Load(),
		Holders: int(l.holders.Load()),
	}
	s.Allowed += s.Leased
	if sent := c.sent.Load(); sent > s.RoundTrips {
		s.Combined = sent - s.RoundTrips
	}
	for _, ln := range l.lanes {
		ln.mu.Lock()
		s.Waiting += ln.waiting
		s.InFlight += len(ln.flights)
		ln.mu.Unlock()
		if ln.down.Load() {
			s.Down++
		}
	}
	s.LeasedKeys = l.leases.len()
	return s
}
