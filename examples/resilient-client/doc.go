// Command resilient-client calls a server that gets slow, then resets every
// connection, and then is well again, and has an answer for its users all the time.
//
//	go run ./examples/resilient-client
//
// The server is its own, and so is the network in between, a toxiproxy inside the
// process. The client is main.go. Its attempts pass
//
//	http.Client → retry → breaker, by host → http.Transport
//
// and if they lead to nothing it takes the last answer there was:
//
//	phase     calls  live  cached  failed  retries  refused  reached  breaker
//	healthy     300   300       0       0       15        0      315  closed
//	slow        300   249      51       0       13       51      262  closed → open → half_open → recovering
//	resets      300     0     300       0       10      300       12  recovering → open
//	healed      300   236      64       0       12       64      248  open → half_open → recovering → closed
//	1200 calls, 50 retries; the budget allows a tenth and 10 more.
//
// Each call has a live answer of the server's or the cached one. What the breaker
// refused never left the process; reached is what got to the server. While the server
// is well it fails one request in twenty, and nobody notices, for it is asked
// again. When it gets slow, no call fails: slow calls alone open the breaker. From
// then on a call costs nothing, and what reaches the server is a probe now and
// then, or, for it does answer, a few calls a second. Retries stop as well, for a breaker's refusal is not one to retry, and the
// budget would hold them to a tenth of the calls without it. When the network
// resets every connection those few calls find out. Probes, three at a time, find
// out that it is well again, and the load comes back step by step.
//
// The breaker is inside of the retries, so that it counts each attempt and one that
// has opened it is not followed by another. A fallback is outside of both. flaky.go
// is the server, story.go what happens to it. The tests are about how breaker, retry
// and the other packages work together, which their own tests cannot be about,
// because they do not know each other.
package main
