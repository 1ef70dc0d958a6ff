package authkubernetes

import "sync/atomic"

// Stats are numbers of an [Authenticator] or an [Authorizer] since it was made.
type Stats struct {
	Hits    uint64 // questions that were answered from memory
	Shared  uint64 // that waited for another's review of the same
	Reviews uint64 // that the API server was asked
	Failed  uint64 // of Reviews, without a usable answer; those whose caller left or that were late do not count
	Shed    uint64 // that were turned away: MaxInFlight or QPS was used up
	Entries int    // what is remembered now
}

type counters struct {
	hits, shared, reviews, failed, shed atomic.Uint64
}

func (c *counters) snapshot(entries int) Stats {
	return Stats{
		Hits: c.hits.Load(), Shared: c.shared.Load(), Reviews: c.reviews.Load(),
		Failed: c.failed.Load(), Shed: c.shed.Load(), Entries: entries,
	}
}
