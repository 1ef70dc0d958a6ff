package digits

import (
	"fmt"
	"testing"
)

// BenchmarkPredict reports items per second of the process's CPU time, all threads and the garbage collector included:
// what a batch saves is processor time, and on a shared machine wall-clock time says little.
func BenchmarkPredict(b *testing.B) {
	in := inputs(heldOut(b)[:128])
	out := make([]Probabilities, len(in))
	for _, id := range IDs() {
		for _, config := range []Config{{}, {Portable: true}} {
			m := open(b, id, config)
			for _, n := range []int{1, 8, 32, 128} {
				b.Run(fmt.Sprintf("model=%s/kernel=%s/batch=%d", id, m.Kernel(), n), func(b *testing.B) {
					b.ReportAllocs()
					start := cpuSeconds(b)
					for b.Loop() {
						if err := m.Predict(in[:n], out[:n]); err != nil {
							b.Fatal(err)
						}
					}
					if used := cpuSeconds(b) - start; used > 0 {
						b.ReportMetric(float64(n*b.N)/used, "items/cpu-s")
					}
				})
			}
		}
	}
}
