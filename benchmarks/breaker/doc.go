// Package breakbench holds package breaker side by side with its peers: what a
// call through one costs, and what becomes of a service's calls when what they
// call fails, is slow, and comes back.
//
//	go run ./cmd/report -svg outage.svg              the report, as Markdown, and its picture (4 minutes)
//	go run ./cmd/report -rounds 3 -for 50ms -seeds 1 the same in a minute, noisier
//	go test -bench .                                 what calls cost, one after the other
//
// A [Table] is one kind of work; its [Contender]s take turns at it, and what they
// cost is the CPU time of the whole process (getrusage) and allocations.
//
// A simulation is a testing/synctest bubble: the clock that every contender reads
// is virtual, so a minute takes less than a second and a busy machine does not
// show. Arrivals are a Poisson process that does not wait for answers, the
// backend is one server with a queue (backend.go), what happens to it is a
// scenario (scenario.go), and what came of it is counted (figures.go).
package breakbench

// Ours is what the others are compared with.
const Ours = "ballast"
