package gemm

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkMulAdd multiplies by the two big matrices of digits-large.
func BenchmarkMulAdd(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	w1, w2 := Pack(random(r, 784*2048), 784, 2048, 2048), Pack(random(r, 2048*1024), 2048, 1024, 1024)
	for _, kern := range kernels() {
		for _, rows := range []int{1, 2, 4, 8, 32, 48} {
			b.Run(fmt.Sprintf("kernel=%v/rows=%d", kern, rows), func(b *testing.B) {
				x, y, z := random(r, rows*784), make([]float32, rows*2048), make([]float32, rows*1024)
				for b.Loop() {
					kern.MulAdd(y, 2048, x, 784, rows, w1, 0, w1.Panels())
					kern.MulAdd(z, 1024, y, 2048, rows, w2, 0, w2.Panels())
				}
				flop := 2 * float64(rows) * (784*2048 + 2048*1024) * float64(b.N)
				b.ReportMetric(flop/1e9/b.Elapsed().Seconds(), "GFLOP/s")
				b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "items/s")
			})
		}
	}
}
