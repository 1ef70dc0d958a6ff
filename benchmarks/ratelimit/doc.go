// Package limitbench holds package ratelimit side by side with its peers: the
// same keys, the same limits, everything admitted, the same measuring, in one
// process.
//
//	go test -bench 'Keyed/keyed,_hot'         one table, every contender
//	go run ./cmd/report                       the report, as Markdown (4 minutes)
//	go run ./cmd/report -rounds 3 -for 50ms   the same in a minute or so, noisier
//
// A [Table] is one kind of work; its [Contender]s take turns at it. The cost is
// the CPU time of the whole process per operation (getrusage), next to wall
// time and allocations. A fact (facts.go) is what a limiter did when it was put
// to the test: counted, not timed.
package limitbench
