package gemm

import "fmt"

// blockK is the number of terms that one pass sums up. 256 rows of a panel are 16 KiB: half of a 32 KiB first-level
// cache, so that a panel's block is read from memory once and serves all rows from there. Summing by blocks also keeps
// the rounding error near blockK + k/blockK instead of k units in the last place.
const blockK = 256

// Kernel is one implementation of the multiplication. The zero value is the portable one.
type Kernel struct{ avx2 bool }

// Detect returns the fastest kernel that this processor runs. It looks at each call and keeps nothing.
func Detect() Kernel { return Kernel{avx2: haveAVX2()} }

// Portable returns the kernel written in Go.
func Portable() Kernel { return Kernel{} }

// String names the kernel: "avx2+fma" or "portable".
func (k Kernel) String() string {
	if k.avx2 {
		return "avx2+fma"
	}
	return "portable"
}

// MulAdd adds A·B to C, for B's panels lo (inclusive) to hi (exclusive). A has the given number of rows, as many
// columns as B has rows, and its rows lie lda elements apart; C's rows lie ldc ≥ b.Stride() elements apart. The
// padding columns of the last panel are written too (zero is added to them). It panics when a slice is too short.
func (k Kernel) MulAdd(c []float32, ldc int, a []float32, lda, rows int, b *Packed, lo, hi int) {
	if rows <= 0 || b.k == 0 || lo >= hi {
		return
	}
	if lo < 0 || hi > b.Panels() || lda < b.k || ldc < hi*Width ||
		len(a) < (rows-1)*lda+b.k || len(c) < (rows-1)*ldc+hi*Width {
		panic(fmt.Sprintf("gemm: %d rows by %d×%d, panels %d to %d: a has %d elements (stride %d), c has %d (stride %d)",
			rows, b.k, b.n, lo, hi, len(a), lda, len(c), ldc))
	}
	k.mulAdd(c, ldc, a, lda, rows, b, lo, hi)
}

// mulAddPortable is MulAdd in Go: panel by panel, block by block, row by row.
func mulAddPortable(c []float32, ldc int, a []float32, lda, rows int, b *Packed, lo, hi int) {
	for p := lo; p < hi; p++ {
		for k0 := 0; k0 < b.k; k0 += blockK {
			kn := min(blockK, b.k-k0)
			w := b.data[(p*b.k+k0)*Width:][:kn*Width]
			for r := range rows {
				x := a[r*lda+k0:][:kn]
				y := c[r*ldc+p*Width:][:Width]
				dot8(y[:8], x, w)
				dot8(y[8:], x, w[8:])
			}
		}
	}
}

// dot8 adds the products of x with eight neighbouring columns of a panel to y. Eight independent chains hide the
// latency of the additions. The explicit conversions forbid the compiler to fuse (as it would on arm64), so that the
// portable kernel's bits are the same everywhere.
func dot8(y, x, w []float32) {
	var s0, s1, s2, s3, s4, s5, s6, s7 float32
	for i, v := range x {
		q := (*[8]float32)(w[i*Width:])
		s0 += float32(v * q[0])
		s1 += float32(v * q[1])
		s2 += float32(v * q[2])
		s3 += float32(v * q[3])
		s4 += float32(v * q[4])
		s5 += float32(v * q[5])
		s6 += float32(v * q[6])
		s7 += float32(v * q[7])
	}
	z := (*[8]float32)(y)
	z[0] += s0
	z[1] += s1
	z[2] += s2
	z[3] += s3
	z[4] += s4
	z[5] += s5
	z[6] += s6
	z[7] += s7
}

// reluPortable is ReLU in Go.
func reluPortable(x []float32) {
	for i, v := range x {
		if v < 0 {
			x[i] = 0
		}
	}
}
