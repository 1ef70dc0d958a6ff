//go:build !unix

package digits

import "testing"

// cpuSeconds is not known here: the benchmark reports no items per CPU second.
func cpuSeconds(*testing.B) float64 { return 0 }
