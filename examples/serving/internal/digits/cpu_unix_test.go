//go:build unix

package digits

import (
	"syscall"
	"testing"
)

// cpuSeconds returns the processor time that this process has used so far, in user and kernel mode.
func cpuSeconds(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
