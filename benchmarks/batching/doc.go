// Package batchbench holds package batching side by side with its peers: the
// same items, the same devices, the same measuring, in one process.
//
//	go test -bench 'Closed/backend=noop/callers=1000/max=32'   one cell, every library
//	go run ./cmd/report                                       the report, as Markdown (10 minutes)
//
// A [Device] stands for the accelerator: it runs one batch at a time and says
// so by a panic if a library breaks that. A [Library] makes a [Peer], which
// takes items one by one. A closed loop ([Closed]) measures what a library
// costs: each caller submits its next item when it has the answer to the last.
// An open loop measures what is left of it when more arrives than the device
// can do, or a batch takes far too long: goodput, answers in time.
package batchbench
