// Package gemm multiplies single-precision matrices: C += A·B, where B was packed once and is used many times.
//
//	b := gemm.Pack(weights, in, out, out)
//	gemm.Detect().MulAdd(c, b.Stride(), a, in, rows, b, 0, b.Panels())
//
// It exists because a served network multiplies by the same weights for ever, with few rows a time. At one row the
// work is reading the weights; at 32 rows the same read serves 32 rows, and that is all that batching gains. A general
// BLAS in pure Go does not show that gain: gonum's Sgemm gets slower with the batch on these shapes (0.6 to 0.7 times
// from 1 row to 32), and vek32.MatMul, the maintained SIMD library nearest to the job (github.com/viterin/vek v0.4.3),
// packs nothing: on the two large matrices of digits-large it reached 1.4 and 1.8 thousand items a second at 1 and 32
// rows where this kernel, in the same hour on the same machine, reached 4 and 12. It also switches its instruction set
// by a package-level variable. Go's own simd/archsimd needs GOEXPERIMENT, which a plain `go run` does not set. So: one
// AVX2 and FMA kernel in assembly, and a portable one in Go.
//
// Two kernels, one contract. For every element both compute, per block of blockK terms, one chain of
// multiply-adds in ascending order that starts at zero, and add the blocks' sums to C in ascending order. The order
// depends on nothing else, so that a row's bits are the same whichever rows are multiplied with it and however the
// columns are shared out between goroutines. The kernels differ from each other in the last bits only: one fuses the
// multiplication with the addition, the other rounds in between (and does so on every architecture).
//
// The kernels are dense on purpose: skipping zero inputs would make an item's cost depend on its pixels.
//
// Nothing here starts a goroutine or keeps state. A Kernel is a value, a Packed is read-only once packed, and
// concurrent calls may share both as long as they write to different columns or rows of C.
package gemm
