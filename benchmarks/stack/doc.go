// Package stackbench holds the whole chain of Ballast's middlewares side by side
// with stacks of other libraries, and each layer in the place of ours: the same
// requests, the same work, the same measuring, in one process.
//
//	go run ./cmd/report                                      the report, as Markdown (3 minutes)
//	go run ./cmd/report -rounds 5 -for 20ms -tails 1         the same in half a minute, noisier
//	go test -bench '/direct'                                 one table, every contender
//
// A stack names, recovers, traces (one request in a hundred), logs and counts
// requests, verifies their tokens, limits them by caller and has a breaker. Tests
// prove that each stack does all of that (contenders_test.go).
//
// A [Table] is one kind of work; its [Contender]s take turns at it. The cost is
// the CPU time of the whole process per operation (getrusage), next to wall time
// and allocations. What a layer costs is measured in Ballast's stack, with it,
// without it and with another library's in its place, so that all have the same
// around them.
//
// Beside the tables there are what an open stream holds that sends nothing, and
// the latency of requests that arrive in open loop.
package stackbench
