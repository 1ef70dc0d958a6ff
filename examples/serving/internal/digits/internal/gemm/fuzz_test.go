package gemm

import (
	"math/rand/v2"
	"testing"
)

// FuzzMulAdd multiplies matrices of any small shape and strides on every path and compares with float64.
func FuzzMulAdd(f *testing.F) {
	f.Add(uint8(1), uint16(784), uint8(10), uint8(0), uint64(1))
	f.Add(uint8(33), uint16(257), uint8(70), uint8(3), uint64(2))
	f.Add(uint8(0), uint16(0), uint8(0), uint8(0), uint64(3))
	f.Fuzz(func(t *testing.T, rows8 uint8, k16 uint16, n8, gap uint8, seed uint64) {
		rows, k, n := int(rows8%40), int(k16%800), int(n8%100)
		r := rand.New(rand.NewPCG(seed, 0))
		lda := k + int(gap%9)
		a, b := random(r, rows*lda), random(r, k*n)
		p := Pack(b, k, n, n)
		ldc := p.Stride() + int(gap%5)
		c := random(r, rows*ldc)
		want, scale := reference(c, ldc, a, lda, rows, b, k, n)
		for _, kern := range kernels() {
			got := append([]float32(nil), c...)
			kern.MulAdd(got, ldc, a, lda, rows, p, 0, p.Panels())
			if e := worst(got, ldc, rows, n, want, scale); e > 1e-5 {
				t.Errorf("%v: %d rows × %d × %d: relative error %g", kern, rows, k, n, e)
			}
		}
	})
}
