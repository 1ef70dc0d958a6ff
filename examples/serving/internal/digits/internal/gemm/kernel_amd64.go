package gemm

import "golang.org/x/sys/cpu"

// haveAVX2 reports whether the assembly runs here. The cpu package also asks whether the operating system saves the
// wide registers (OSXSAVE, XGETBV).
func haveAVX2() bool { return cpu.X86.HasAVX2 && cpu.X86.HasFMA }

func (k Kernel) mulAdd(c []float32, ldc int, a []float32, lda, rows int, b *Packed, lo, hi int) {
	switch {
	case !k.avx2:
		mulAddPortable(c, ldc, a, lda, rows, b, lo, hi)
	case rows == 1:
		mulAddRow(c, a, b, lo, hi)
	default:
		mulAddTiles(c, ldc, a, lda, rows, b, lo, hi)
	}
}

// mulAddTiles keeps a tile of up to 6×16 sums in registers and goes down all rows with one block of one panel, which
// stays in the first-level cache, before it goes on to the next.
func mulAddTiles(c []float32, ldc int, a []float32, lda, rows int, b *Packed, lo, hi int) {
	for p := lo; p < hi; p++ {
		for k0 := 0; k0 < b.k; k0 += blockK {
			kn := min(blockK, b.k-k0)
			w := &b.data[(p*b.k+k0)*Width]
			for r := 0; r < rows; {
				y, x := &c[r*ldc+p*Width], &a[r*lda+k0]
				switch left := rows - r; {
				case left >= 12 || left == 6 || left == 10:
					tile6(y, ldc, x, lda, w, kn)
					r += 6
				case left >= 4: // 8 is 4+4 and not 6+2: two rows cannot hide the latency of the additions
					tile4(y, ldc, x, lda, w, kn)
					r += 4
				case left >= 2:
					tile2(y, ldc, x, lda, w, kn)
					r += 2
				default:
					tile1(y, x, w, kn)
					r++
				}
			}
		}
	}
}

// mulAddRow multiplies one row, the case that waits for memory. Four panels at once make eight chains and four streams
// that the processor prefetches side by side.
func mulAddRow(c, a []float32, b *Packed, lo, hi int) {
	p := lo
	for ; p+4 <= hi; p += 4 {
		for k0 := 0; k0 < b.k; k0 += blockK {
			row4(&c[p*Width], &a[k0], &b.data[(p*b.k+k0)*Width], b.k*Width, min(blockK, b.k-k0))
		}
	}
	for ; p < hi; p++ {
		for k0 := 0; k0 < b.k; k0 += blockK {
			tile1(&c[p*Width], &a[k0], &b.data[(p*b.k+k0)*Width], min(blockK, b.k-k0))
		}
	}
}

// ReLU replaces negative elements by zero, in place. A NaN stays NaN.
func (k Kernel) ReLU(x []float32) {
	n := 0
	if k.avx2 && len(x) >= 8 {
		n = len(x) &^ 7
		relu8(&x[0], n)
	}
	reluPortable(x[n:])
}

// tile6 adds the product of six rows of A (lda elements apart) with k rows of a panel to six rows of C (ldc apart).
//
//go:noescape
func tile6(c *float32, ldc int, a *float32, lda int, w *float32, k int)

// tile4 is tile6 for four rows.
//
//go:noescape
func tile4(c *float32, ldc int, a *float32, lda int, w *float32, k int)

// tile2 is tile6 for two rows.
//
//go:noescape
func tile2(c *float32, ldc int, a *float32, lda int, w *float32, k int)

// tile1 is tile6 for one row.
//
//go:noescape
func tile1(c, a, w *float32, k int)

// row4 is tile1 for four neighbouring panels, which lie stride elements apart.
//
//go:noescape
func row4(c, a, w *float32, stride, k int)

// relu8 replaces negative elements by zero; n is a multiple of 8.
//
//go:noescape
func relu8(x *float32, n int)
