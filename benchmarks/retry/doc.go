// Package retrybench holds package retry side by side with its peers: the same
// calls, the same schedules, the same measuring, in one process.
//
//	go test -bench 'Do/first_try'             one table, every contender
//	go run ./cmd/report                       the report, as Markdown (a minute)
//	go run ./cmd/report -rounds 3 -for 50ms   the same in some seconds, noisier
//
// A [Table] is one kind of work; its [Contender]s take turns at it. The cost is
// the CPU time of the whole process per operation (getrusage), next to wall
// time and allocations. A fact (facts.go) is what a library did when it was put
// to the test: counted, in virtual time (bubble.go), and so the same anywhere.
package retrybench
