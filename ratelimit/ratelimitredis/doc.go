// Package ratelimitredis has a limiter whose limits all processes share that use
// the same Redis or Valkey: a [ratelimit.Limiter] for everything that package
// ratelimit does with one.
//
//	l, err := ratelimitredis.New(client, ratelimitredis.Config{
//		Limit: ratelimit.PerMinute(100),
//	})
//	…
//	d, err := l.AllowN(ctx, apiKey, 1)
//	…
//	defer l.Close(ctx) // and then client.Close()
//
// It needs Redis 5 or later, or Valkey. The algorithm is that of
// *[ratelimit.Keyed]: Burst at once and Rate in the long run, to the nanosecond
// for every limit that [ratelimit.Limit] accepts. The time is the server's: the
// clocks of the processes mean nothing.
//
// # Modes
//
//	Exact   Every call is decided in Redis. Calls that a process makes while a
//	        round trip is under way share the next one, up to 256, and are decided
//	        in their order: the busier it is, the less a call costs.
//	Leased  A key that a process asks for often is served from tokens that it has
//	        taken ahead, without a round trip. All others are as in Exact.
//
// Exact never lets more through than Burst + Rate·t in any span t, and denies
// nothing that there is room for.
//
// In Leased mode a lease is what the key was asked for in the last 100 ms, but at
// most the limit's Burst ÷ (4 × live holders), half of what is free, and nothing
// if that is less than two events. It is charged before it is spent, so that a
// process that dies loses its lease and gives nobody more. It is spent within
// 100 ms or given back, and at Close. So:
//
//   - From when a key was new, never more than Burst + Rate·t is let through.
//   - In a span t, never more than Burst + Rate·(t + 500 ms + Timeout), and if no
//     process stalls than Burst + Rate·(t + 200 ms): what was leased at its
//     beginning is spent or given back in it.
//   - A call may be denied while others hold leases: a quarter of Burst at most,
//     or more for the 100 ms after new holders came. They are spent or back soon.
//   - Decision.Remaining and ResetAfter are estimates for calls that a lease
//     decided: what other processes took since is not known.
//
// A holder is a [Limiter] in Leased mode that talked to Redis in the last 2 s.
// With more than Burst ÷ 8 of them there are no leases of a key.
//
// # When Redis does not answer
//
// No call waits longer than Config.Timeout, whatever the client's options say:
// for other calls, a connection, or the answer. A server that gave no answer in
// that time to anybody, or an error, is down. Then one call every two Timeouts
// asks it all the same, and all others are decided at once. The first answer in
// time ends it.
//
//	Config.OnOutage  AllowN                                  Return
//	FailClosed       not OK, error ErrUnavailable            error ErrUnavailable
//	FailOpen         OK, error ErrUnavailable                error ErrUnavailable
//	LocalFallback    as the share decides, no error          booked in the share
//
// A share is the limit divided by Config.Replicas, with a Burst of at least 1,
// and begins full: during an outage the replicas together let through what the
// limit says, or one each if that is more, in addition to what Redis had let
// through before. What was charged to a share and is returned later goes to
// Redis.
//
// A call of cost 0 is always OK, and one that costs more than Burst never is.
//
// What was sent and not answered in time may have been charged, and stays so;
// what was still waiting to be sent is not. go-redis repeats a command whose
// connection broke, which may charge it twice. Either way too much is charged,
// never too little. A Return that failed may not have been booked: one that gives
// back is then lost, and so is the debt of a negative one.
//
// A Redis that loses its data, because it was restarted without persistence or
// another one took its place, forgets what was taken: every key is new. A server
// clock that is put back keeps keys denied for longer, by as much; one that is put
// forward forgets that much of what was taken.
//
// # Client
//
// Any client will do, and may be shared. At most one round trip of a shard is
// under way, and three more if they hang, each with a goroutine of its own and a
// connection. A round trip that hangs ends by the client's timeouts: with
//
//	redis.Options{ContextTimeoutEnabled: true}
//
// after Config.Timeout, else after ReadTimeout, which is 3 s by default.
//
// # Keys
//
//	<Prefix>{<shard>}:<key>       up to 128 bytes, as it is
//	<Prefix>{<shard>}#<sha256>    the hash of a longer one
//	<Prefix>{<shard>}holders      sorted set of live holders
//
// The braces are the hash tag of Redis Cluster, which ends at the first brace;
// the prefix has none, so that no key can choose its slot. shard is the FNV-1a
// hash of the key modulo Config.Shards. A round trip is for the keys of one
// shard, one script call, and atomic.
//
// A key's value is the time at which nothing of its burst is taken any more, in
// nanoseconds since 1970, which Redis keeps as a number: 133 bytes a key in all
// with names of 24 bytes (Redis 7.0, 100,000 keys). It is gone 16 to 32 s after
// it has recovered. Redis must not evict keys, since what it evicts is new again:
// set maxmemory-policy noeviction. A Redis that has no memory left is then an
// outage.
//
// # Concurrency and goroutines
//
// A Limiter is safe for concurrent use. It starts a goroutine for a round trip,
// which ends when nothing waits any more, and none when nobody calls. Whoever
// called [New] calls [Limiter.Close], which gives leases back and waits for what
// is under way, and closes the client afterwards.
//
// # What it does not do
//
// It does not make limits of several regions one: a Redis far away costs a round
// trip to there. It does not make calls of several keys atomic: use
// [ratelimit.All]. It does not read from replicas, and does not log: numbers are
// in [Stats], and package ratelimitredisprom shows them to Prometheus.
package ratelimitredis
