// Package authbench holds packages auth, authjwt and authrbac side by side with
// their peers: the same tokens, the same checks, the same measuring, in one
// process.
//
//	go run ./cmd/report                                   the report, as Markdown (4 minutes)
//	go run ./cmd/report -rounds 3 -for 50ms -tokens 10000 the same in a minute or so, noisier
//	go test -bench 'HTTP/http,_RS256'                     one table, every contender
//
// Each token has 763 bytes (tokens.go). Every contender checks the signature, exp,
// iss and aud, and says who it was; tests prove that each accepts a good token
// and refuses those that are not (cases.go).
//
// A [Table] is one kind of work; its [Contender]s take turns at it. The cost is
// the CPU time of the whole process per operation (getrusage), next to wall
// time and allocations.
package authbench
