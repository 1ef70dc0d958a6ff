package batchbench

import (
	"syscall"
	"time"
)

const canBlock = true

// block keeps the calling goroutine's OS thread in the kernel for d.
func block(d time.Duration) {
	left := syscall.NsecToTimespec(int64(d))
	// The runtime's preemption signals interrupt it.
	for syscall.Nanosleep(&left, &left) == syscall.EINTR {
	}
}
