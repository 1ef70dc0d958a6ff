// Package obsbench holds packages logging and health side by side with their
// peers: the same records, the same probes, the same measuring, in one process.
// benchmarks/stack has the middlewares.
//
//	go run ./cmd/report                        the report, as Markdown (half a minute)
//	go run ./cmd/report -rounds 3 -for 20ms    the same in a moment, noisier
//	go test -bench '/record'                   one table, every contender
//
// A [Table] is one kind of work; its [Contender]s take turns at it. The cost is
// the CPU time of the whole process per operation (getrusage), next to wall
// time and allocations. Tests prove that each contender does the work: every
// attribute is in the record, every probe answers as it should.
package obsbench
