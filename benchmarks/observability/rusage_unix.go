//go:build unix

package obsbench

import (
	"syscall"
	"time"
)

// cpuTime is what this process has used of all processors, user and system.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // EFAULT and EINVAL only
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
