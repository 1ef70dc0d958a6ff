package gemm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// kernels returns every path that runs on this machine.
func kernels() []Kernel {
	ks := []Kernel{Portable()}
	if k := Detect(); k != Portable() {
		ks = append(ks, k)
	}
	return ks
}

func random(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// reference computes C + A·B in float64, and the same with every term's absolute value: the magnitude against which
// rounding happens.
func reference(c []float32, ldc int, a []float32, lda, rows int, b []float32, k, n int) (want, scale []float64) {
	want, scale = make([]float64, rows*n), make([]float64, rows*n)
	for r := range rows {
		for j := range n {
			s, t := float64(c[r*ldc+j]), math.Abs(float64(c[r*ldc+j]))
			for i := range k {
				v := float64(a[r*lda+i]) * float64(b[i*n+j])
				s += v
				t += math.Abs(v)
			}
			want[r*n+j], scale[r*n+j] = s, t
		}
	}
	return want, scale
}

// worst returns the largest error of got relative to the reference's magnitude: max |got-want| / (|c| + Σ|a·b|). A sum
// that cancels to nearly nothing has no relative accuracy in any float32 arithmetic; the sum of magnitudes is the
// scale that error analysis uses (Higham, Accuracy and Stability of Numerical Algorithms, §3.1).
func worst(got []float32, ldc, rows, n int, want, scale []float64) float64 {
	w := 0.0
	for r := range rows {
		for j := range n {
			if e := math.Abs(float64(got[r*ldc+j])-want[r*n+j]) / max(scale[r*n+j], math.SmallestNonzeroFloat32); !(e <= w) {
				w = e
			}
		}
	}
	return w
}

func TestMulAddAgainstFloat64(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var shapes [][3]int
	for _, rows := range []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 17, 18, 31, 32, 33} {
		for _, k := range []int{0, 1, 2, 3, 7, 9, 257} {
			for _, n := range []int{1, 16, 65} {
				shapes = append(shapes, [3]int{rows, k, n})
			}
		}
	}
	shapes = append(shapes, [3]int{1, 784, 256}, [3]int{7, 784, 80}, [3]int{3, 2048, 100}, [3]int{33, 1024, 10},
		[3]int{6, 255, 17}, [3]int{6, 256, 63}, [3]int{11, 8, 64}, [3]int{2, 31, 10}, [3]int{10, 5, 80})
	for _, kern := range kernels() {
		t.Run(kern.String(), func(t *testing.T) {
			for _, s := range shapes {
				rows, k, n := s[0], s[1], s[2]
				a, b := random(r, rows*k), random(r, k*n)
				p := Pack(b, k, n, n)
				c := random(r, rows*p.Stride())
				want, scale := reference(c, p.Stride(), a, k, rows, b, k, n)
				kern.MulAdd(c, p.Stride(), a, k, rows, p, 0, p.Panels())
				if e := worst(c, p.Stride(), rows, n, want, scale); e > 1e-6 {
					t.Errorf("%d rows × %d × %d: relative error %g", rows, k, n, e)
				}
			}
		})
	}
}

// Pixels and rectified activations are not negative; with weights of one sign nothing cancels, and the error relative
// to the result itself is bounded.
func TestMulAddStrictRelativeError(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, kern := range kernels() {
		for _, k := range []int{1, 100, 784, 2048, 5000} {
			a, b := random(r, 5*k), random(r, k*48)
			for _, x := range [][]float32{a, b} {
				for i := range x {
					x[i] = float32(math.Abs(float64(x[i])))
				}
			}
			p := Pack(b, k, 48, 48)
			c := make([]float32, 5*48)
			want, _ := reference(c, 48, a, k, 5, b, k, 48)
			kern.MulAdd(c, 48, a, k, 5, p, 0, p.Panels())
			if e := worst(c, 48, 5, 48, want, want); e > 1e-5 {
				t.Errorf("%v, k=%d: relative error %g", kern, k, e)
			}
		}
	}
}

func TestARowsBitsDoNotDependOnItsBatch(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const most, k, n = 40, 777, 150
	a, b := random(r, most*k), random(r, k*n)
	p := Pack(b, k, n, n)
	for _, kern := range kernels() {
		alone := make([]float32, most*p.Stride())
		for row := range most {
			kern.MulAdd(alone[row*p.Stride():], p.Stride(), a[row*k:], k, 1, p, 0, p.Panels())
		}
		for rows := 1; rows <= most; rows++ {
			first := most - rows
			c := make([]float32, rows*p.Stride())
			split := rows % p.Panels() // two calls, as two goroutines would share the columns
			kern.MulAdd(c, p.Stride(), a[first*k:], k, rows, p, 0, split)
			kern.MulAdd(c, p.Stride(), a[first*k:], k, rows, p, split, p.Panels())
			for i, v := range c {
				if math.Float32bits(v) != math.Float32bits(alone[first*p.Stride()+i]) {
					t.Fatalf("%v: row %d alone gives %g, in a batch of %d rows %g",
						kern, first+i/p.Stride(), alone[first*p.Stride()+i], rows, v)
				}
			}
		}
	}
}

// The kernels must not touch what is not theirs: rows beyond the last, the columns beyond the stride, other panels.
func TestMulAddWritesOnlyItsTile(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	const k, n, ld = 19, 96, 131
	a, b := random(r, 14*k), random(r, k*n)
	p := Pack(b, k, n, n)
	for _, kern := range kernels() {
		for rows := 1; rows <= 13; rows++ {
			for lo := range p.Panels() {
				c := make([]float32, 14*ld)
				for i := range c {
					c[i] = 1e9
				}
				hi := min(p.Panels(), lo+5)
				kern.MulAdd(c, ld, a, k, rows, p, lo, hi)
				for i, v := range c {
					row, col := i/ld, i%ld
					mine := row < rows && col >= lo*Width && col < hi*Width
					if !mine && v != 1e9 {
						t.Fatalf("%v: %d rows, panels %d to %d: wrote row %d, column %d", kern, rows, lo, hi, row, col)
					}
				}
			}
		}
	}
}

func TestANonFiniteRowStaysAlone(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	const rows, k, n = 9, 33, 20
	a, b := random(r, rows*k), random(r, k*n)
	p := Pack(b, k, n, n)
	bad := append([]float32(nil), a...)
	bad[4*k+7] = float32(math.NaN())
	for _, kern := range kernels() {
		good, c := make([]float32, rows*p.Stride()), make([]float32, rows*p.Stride())
		kern.MulAdd(good, p.Stride(), a, k, rows, p, 0, p.Panels())
		kern.MulAdd(c, p.Stride(), bad, k, rows, p, 0, p.Panels())
		for i, v := range c {
			if row := i / p.Stride(); row != 4 && v != good[i] {
				t.Errorf("%v: row 4's NaN reached row %d", kern, row)
			} else if row == 4 && i%p.Stride() < n && v == v {
				t.Errorf("%v: row 4 lost its NaN in column %d", kern, i%p.Stride())
			}
		}
	}
}

func TestLoadTransposed(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for _, s := range [][2]int{{1, 1}, {7, 33}, {64, 16}, {3, 10}} {
		k, n := s[0], s[1]
		b := random(r, k*n)
		bt := make([]float32, n*k)
		for i := range k {
			for j := range n {
				bt[j*k+i] = b[i*n+j]
			}
		}
		got := NewPacked(k, n)
		got.LoadTransposed(bt, k, 0, got.Panels())
		if want := Pack(b, k, n, n); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%d×%d: the transpose of the transpose differs", k, n)
		}
	}
}

func TestReLU(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, kern := range kernels() {
		for n := range 40 {
			x := make([]float32, n)
			for i := range x {
				x[i] = []float32{-1, 2, nan, -inf, inf, 0, float32(math.Copysign(0, -1)), -1e-40, 3}[i%9]
			}
			kern.ReLU(x)
			for i, v := range x {
				want := []float32{0, 2, nan, 0, inf, 0, 0, 0, 3}[i%9]
				if v != want && !(v != v && want != want) {
					t.Errorf("%v: element %d of %d is %g, want %g", kern, i, n, v, want)
				}
			}
		}
	}
}

func TestWrongSizesPanic(t *testing.T) {
	p := NewPacked(8, 20)
	for name, call := range map[string]func(){
		"negative":    func() { NewPacked(-1, 2) },
		"a too short": func() { Portable().MulAdd(make([]float32, 64), 32, make([]float32, 15), 8, 2, p, 0, 2) },
		"c too short": func() { Portable().MulAdd(make([]float32, 63), 32, make([]float32, 16), 8, 2, p, 0, 2) },
		"lda":         func() { Portable().MulAdd(make([]float32, 64), 32, make([]float32, 16), 7, 2, p, 0, 2) },
		"ldc":         func() { Portable().MulAdd(make([]float32, 64), 20, make([]float32, 16), 8, 2, p, 0, 2) },
		"panel":       func() { Portable().MulAdd(make([]float32, 64), 32, make([]float32, 16), 8, 2, p, 0, 3) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			call()
		}()
	}
}

func TestString(t *testing.T) {
	if got := Portable().String(); got != "portable" {
		t.Errorf("got %q", got)
	}
	if got := (Kernel{avx2: true}).String(); got != "avx2+fma" {
		t.Errorf("got %q", got)
	}
}

func TestMulAddDoesNotAllocate(t *testing.T) {
	p := NewPacked(100, 100)
	a, c := make([]float32, 7*100), make([]float32, 7*p.Stride())
	for _, kern := range kernels() {
		if n := testing.AllocsPerRun(10, func() { kern.MulAdd(c, p.Stride(), a, 100, 7, p, 0, p.Panels()) }); n != 0 {
			t.Errorf("%v: %g allocations", kern, n)
		}
	}
}
