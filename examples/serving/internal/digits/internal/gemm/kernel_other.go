//go:build !amd64

package gemm

func haveAVX2() bool { return false }

func (k Kernel) mulAdd(c []float32, ldc int, a []float32, lda, rows int, b *Packed, lo, hi int) {
	mulAddPortable(c, ldc, a, lda, rows, b, lo, hi)
}

// ReLU replaces negative elements by zero, in place. A NaN stays NaN.
func (k Kernel) ReLU(x []float32) { reluPortable(x) }
