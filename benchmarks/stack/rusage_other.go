//go:build !unix

package stackbench

import "time"

// cpuTime is unknown without getrusage; 0 shows as such in every report.
func cpuTime() time.Duration { return 0 }
