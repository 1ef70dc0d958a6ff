//go:build linux

package gemm

import (
	"os"
	"syscall"
	"testing"
	"unsafe"
)

// guarded returns n zeros that end right before a page that cannot be touched,
// or else start right behind one.
func guarded(t *testing.T, n int, before bool) []float32 {
	t.Helper()
	page := os.Getpagesize()
	size := (4*n + page - 1) / page * page
	all, err := syscall.Mmap(-1, 0, size+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Munmap(all) })
	for _, guard := range [][]byte{all[:page], all[page+size:]} {
		if err := syscall.Mprotect(guard, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	at := page
	if before {
		at += size - 4*n
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&all[at])), n)
}

// Assembly has no bounds checks: reading or writing past an operand, which may
// go unnoticed for years, ends this test with a segmentation fault.
func TestKernelsStayInsideTheirOperands(t *testing.T) {
	for _, before := range []bool{true, false} {
		for _, k := range []int{1, 2, 3, 4, 5, 7, 8, 256, 257} {
			for _, n := range []int{1, 16, 64, 80} { // row4 takes four panels
				b := NewPacked(k, n)
				b.data = guarded(t, len(b.data), before)
				for rows := 1; rows <= 13; rows++ {
					a, c := guarded(t, rows*k, before), guarded(t, rows*b.Stride(), before)
					for _, kern := range kernels() {
						kern.MulAdd(c, b.Stride(), a, k, rows, b, 0, b.Panels())
						kern.ReLU(a)
					}
				}
			}
		}
	}
}
