//go:build !linux

package batchbench

import "time"

// Elsewhere package syscall has no sleep that holds the thread, and cgo is not
// to be had everywhere: benchmarks with blocking devices are skipped.
const canBlock = false

func block(time.Duration) { panic("batchbench: blocking devices need Linux") }
